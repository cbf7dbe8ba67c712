//! What lies between nodes: links that are clogged or cut, and how long a packet is under way.
//!
//! A block says which links it is about, in their direction, and from when until when. Packets
//! that are sent over a **clogged** link wait for its end, those over a **parted** one are lost. A
//! pause of a node clogs all links to it; a swizzle (FoundationDB, "Simulation and Testing") clogs
//! some nodes one after the other and lets them go in another order.

use seedbed_faults::DurationRange;

use super::{Moment, Network};
use crate::stats::FaultKind;

/// Which nodes a side of a block is about.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    Any,
    Nodes(Vec<u16>),
}

impl Side {
    pub(crate) fn one(node: u16) -> Self {
        Self::Nodes(vec![node])
    }

    fn has(&self, node: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Nodes(nodes) => nodes.contains(&node),
        }
    }

    fn names(&self, node: u16) -> bool {
        matches!(self, Self::Nodes(_)) && self.has(node)
    }
}

/// What happens to packets that are sent over a blocked link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// They wait.
    Clogged,
    /// They are lost.
    Parted,
}

/// Links that are blocked for a while.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub from: Side,
    pub to: Side,
    pub how: Blocked,
    pub begins: u64,
    /// [`u64::MAX`]: until it is healed.
    pub ends: u64,
}

impl Block {
    /// Loopback is never blocked.
    pub(crate) fn covers(&self, from: u16, to: u16) -> bool {
        from != to && self.from.has(from) && self.to.has(to)
    }
}

/// When something can leave, and whether what would have left before is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure {
    pub at: u64,
    pub lost: bool,
}

/// The blocks of a network.
#[derive(Debug, Default)]
pub(super) struct Weather {
    blocks: Vec<Block>,
    /// After this no block is left.
    calm_from: u64,
}

impl Weather {
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.calm_from = 0;
    }

    pub(super) fn add(&mut self, now: u64, block: Block) {
        assert!(block.begins < block.ends, "a block lasts");
        self.blocks.retain(|block| block.ends > now);
        self.calm_from = self.calm_from.max(block.ends);
        self.blocks.push(block);
    }

    /// When what is sent at `at` leaves.
    #[inline]
    pub(super) fn departs(&self, from: u16, to: u16, at: u64) -> Departure {
        match at >= self.calm_from {
            true => Departure { at, lost: false },
            false => self.departs_in_bad_weather(from, to, at),
        }
    }

    #[inline(never)]
    fn departs_in_bad_weather(&self, from: u16, to: u16, mut at: u64) -> Departure {
        let mut lost = false;
        let holds =
            |block: &&Block, at| block.covers(from, to) && block.begins <= at && at < block.ends;
        while let Some(block) = self.blocks.iter().find(|block| holds(block, at)) {
            lost |= block.how == Blocked::Parted;
            at = block.ends;
        }
        Departure { at, lost }
    }
}

impl Network {
    /// Whether links of a node are cut, and it is one of those that they are cut for.
    pub(crate) fn is_cut_off(&self, node: u16, now: u64) -> bool {
        let cuts =
            |block: &Block| block.how == Blocked::Parted && block.begins <= now && now < block.ends;
        let mut cuts = self.weather.blocks.iter().filter(|block| cuts(block));
        cuts.any(|block| block.from.names(node) || block.to.names(node))
    }

    fn cut_off(&self, now: u64) -> u64 {
        self.hosts.iter().filter(|host| host.cut_off_until > now).count() as u64
    }

    /// Whether the weather may cut a node off, or cut it off once more.
    fn may_cut_off(&self, node: u16, now: u64) -> bool {
        let already = self.hosts[node as usize].cut_off_until > now;
        self.cut_off_max.is_none_or(|limit| already || self.cut_off(now) < limit)
    }

    /// The weather cuts a node off for so long.
    fn cuts_off(&mut self, node: u16, now: u64, ns: u64) {
        let host = &mut self.hosts[node as usize];
        host.cut_off_until = host.cut_off_until.max(now.saturating_add(ns));
        self.cut_off_most = self.cut_off_most.max(self.cut_off(now));
    }

    /// The most nodes that the weather has cut off at once.
    pub(crate) fn cut_off_most(&self) -> u64 {
        self.cut_off_most
    }

    /// Whether what is sent now over a link waits or is lost.
    #[cfg(test)]
    pub(crate) fn is_blocked(&self, from: u16, to: u16, now: u64) -> bool {
        let holds = |block: &Block| block.begins <= now && now < block.ends;
        self.weather.blocks.iter().any(|block| holds(block) && block.covers(from, to))
    }
}

impl Moment<'_> {
    /// A duration out of a range.
    #[inline]
    pub(super) fn draw(&mut self, label: &'static str, range: DurationRange) -> u64 {
        range.min_ns.saturating_add(self.choices.choose(label, range.span()))
    }
}

impl Network {
    /// When what is sent now arrives, with the losses that delay it: what is lost is sent again
    /// until it arrives. [`u64::MAX`]: not before something is healed. The second is whether it had
    /// to be sent again.
    #[inline]
    pub(super) fn transit(
        &mut self,
        moment: &mut Moment<'_>,
        (from, to): (u16, u16),
        lost: bool,
    ) -> (u64, bool) {
        let latency = moment.draw("net.latency", self.faults.latency);
        let mut departure = self.weather.departs(from, to, moment.now);
        let again = lost || departure.lost;
        if again || departure.at > moment.now {
            self.harm((from, to));
        }
        if again && departure.at < u64::MAX {
            let later = moment.draw("net.retransmit", self.faults.retransmit);
            departure = self.weather.departs(from, to, departure.at.saturating_add(later));
        }
        (departure.at.saturating_add(latency), again)
    }

    /// Blocks links from now on.
    pub(crate) fn block(&mut self, moment: &mut Moment<'_>, block: Block) {
        self.weather.add(moment.now, block.clone());
        if block.begins <= moment.now {
            let hosts = 0..self.hosts.len() as u16;
            let links = hosts.clone().flat_map(|from| hosts.clone().map(move |to| (from, to)));
            links.filter(|(from, to)| block.covers(*from, *to)).for_each(|link| self.harm(link));
            self.send_streams_again(moment, |from, to| block.covers(from, to), true);
            self.block_datagrams(moment, |from, to| block.covers(from, to));
        }
    }

    /// The weather that a packet from one node to another meets by itself.
    #[inline(never)]
    pub(super) fn strike(&mut self, moment: &mut Moment<'_>, (from, to): (u16, u16)) {
        if moment.choices.chance("fault.net_clog", self.faults.clog_probability) {
            let ns = moment.draw("net.clog", self.faults.clog);
            self.happened(FaultKind::NetClog, (from, to), || format!("for {ns} ns"));
            self.block_for(moment, (Side::one(from), Side::one(to)), Blocked::Clogged, ns);
        }
        if self.may_cut_off(to, moment.now)
            && moment.choices.chance("fault.net_partition", self.faults.partition_probability)
        {
            let shape = moment.choices.choose("net.partition_shape", 3);
            let ns = moment.draw("net.partition", self.faults.partition);
            let shown = ["one way", "both ways", "from all nodes"][shape as usize];
            self.happened(FaultKind::NetPartition, (from, to), || format!("{shown}, for {ns} ns"));
            self.cuts_off(to, moment.now, ns.max(1));
            let other = if shape == 2 { Side::Any } else { Side::one(from) };
            let there = (other.clone(), Side::one(to));
            self.block_for(moment, there, Blocked::Parted, ns);
            if shape > 0 {
                self.block_for(moment, (Side::one(to), other), Blocked::Parted, ns);
            }
        }
        if moment.choices.chance("fault.net_swizzle", self.faults.swizzle_probability) {
            self.swizzle(moment, (from, to));
        }
    }

    fn block_for(
        &mut self,
        moment: &mut Moment<'_>,
        (from, to): (Side, Side),
        how: Blocked,
        ns: u64,
    ) {
        let begins = moment.now;
        let ends = begins.saturating_add(ns.max(1));
        self.block(moment, Block { from, to, how, begins, ends });
    }

    /// Clogs some nodes one after the other and lets them go in another order, within a time.
    fn swizzle(&mut self, moment: &mut Moment<'_>, (from, to): (u16, u16)) {
        let ns = moment.draw("net.swizzle", self.faults.swizzle).max(4);
        let mut nodes: Vec<u16> = Vec::new();
        for node in 0..self.hosts.len() as u16 {
            if self.may_cut_off(node, moment.now)
                && moment.choices.choose("net.swizzle_node", 2) == 1
            {
                self.cuts_off(node, moment.now, ns.saturating_add(1));
                nodes.push(node);
            }
        }
        self.happened(FaultKind::NetSwizzle, (from, to), || {
            format!("{} nodes, for {ns} ns", nodes.len())
        });
        for node in nodes {
            // The first half of the time they go one by one, the second half they come back.
            let begins = moment.now + moment.choices.choose("net.swizzle_from", ns / 2);
            let ends = moment.now + ns / 2 + 1 + moment.choices.choose("net.swizzle_to", ns / 2);
            let (node, how) = (Side::one(node), Blocked::Clogged);
            for (from, to) in [(Side::Any, node.clone()), (node, Side::Any)] {
                self.block(moment, Block { from, to, how, begins, ends });
            }
        }
    }
}

//! Probes of the world itself: what several nodes can come to together, which no count of faults
//! says. They are those of every scenario of more than one node, beside its own.
//!
//! Marks look and change nothing: neither decisions nor the digest know of them. A node that never
//! made a call, like that of a driver, is no node here.

use crate::node::{CrashKind, DOWN, Node, NodeId};
use crate::stats::Probes;
use crate::world::World;

seedbed_env::probes! {
    /// What a world of several nodes should come to.
    AllDown, "world: all nodes are down at once";
    SecondDown, "world: a node goes down while another is down";
    CrashInRecovery, "world: a node goes down at the first calls of a later boot, its peers up";
    BootCutOff, "world: a node boots while its links are cut";
    PowerLossCutOff, "world: a node loses its power while its links are cut";
    ResetUnderWay, "world: a stream is reset with bytes under way";
    HangWhileDown, "world: a call of a disk hangs while another node is down";
}

/// Calls of a boot that are taken to be its recovery.
pub(crate) const EARLY_OPS: u64 = 8;

/// What a run that is over has reached: all of the world's own are named, unless it had one node.
pub(crate) fn of_run(mut probes: Probes, nodes: usize) -> Probes {
    for probe in Probe::ALL {
        match nodes > 1 {
            true => drop(probes.entry(probe.name()).or_default()),
            false => drop(probes.remove(probe.name())),
        }
    }
    probes
}

impl World {
    /// The nodes besides this one that have ever made a call: how many are up, and how many down.
    fn peers(&self, id: NodeId) -> (usize, usize) {
        let nodes = self.nodes[..self.node_count].iter().enumerate();
        let works = |node: &Node| node.has_worked || node.ops > 0;
        let peers = nodes.filter(|(index, node)| *index != usize::from(id.0) && works(node));
        peers.fold((0, 0), |(up, down), (_, node)| match node.life == DOWN {
            true => (up, down + 1),
            false => (up + 1, down),
        })
    }

    /// A node has just gone down.
    pub(crate) fn mark_down(&mut self, id: NodeId, kind: CrashKind) {
        let (up, down) = self.peers(id);
        let node = &mut self.nodes[id.0 as usize];
        node.has_worked |= node.ops > 0;
        if up + down == 0 {
            return;
        }
        Probe::AllDown.sometimes(up == 0);
        Probe::SecondDown.sometimes(down > 0);
        let is_early = node.boot > 1 && (1..=EARLY_OPS).contains(&node.ops);
        Probe::CrashInRecovery.sometimes(is_early && down == 0);
        let cut_off = self.net.is_cut_off(id.0, self.now);
        Probe::PowerLossCutOff.sometimes(cut_off && kind == CrashKind::PowerLoss);
    }

    /// A node begins another boot.
    pub(crate) fn mark_boot(&self, id: NodeId) {
        let again = self.nodes[id.0 as usize].boot > 1;
        Probe::BootCutOff.sometimes(again && self.net.is_cut_off(id.0, self.now));
    }

    /// A call of a node's disk hangs.
    pub(crate) fn mark_hang(&self, id: NodeId) {
        Probe::HangWhileDown.sometimes(self.peers(id).1 > 0);
    }
}

#[cfg(test)]
mod tests {
    use seedbed_env::Fs;

    use super::Probe;
    use crate::{CrashKind, NodeId, Sim, SimEnv};

    fn works(sim: &mut Sim, node: NodeId) -> SimEnv {
        let env = sim.boot(node);
        drop(sim.run(env, async move { env.create_dir("x").await }).expect("nothing stops it"));
        env
    }

    fn reached(sim: Sim) -> Vec<Probe> {
        let probes = sim.finish().probes;
        let all = Probe::ALL.iter().copied();
        all.filter(|probe| probes[probe.name()] > 0).collect()
    }

    #[test]
    fn a_node_that_goes_down_marks_what_its_peers_do_meanwhile() {
        let mut sim = Sim::new(1);
        let (driver, a, b) = (sim.add_node("driver"), sim.add_node("a"), sim.add_node("b"));
        sim.boot(driver);
        for node in [a, b] {
            works(&mut sim, node);
        }
        sim.crash(a, CrashKind::Process);
        works(&mut sim, a);
        sim.partition(&[a], &[b]);
        sim.crash(a, CrashKind::PowerLoss);
        works(&mut sim, a);
        assert_eq!(
            reached(sim),
            [Probe::CrashInRecovery, Probe::BootCutOff, Probe::PowerLossCutOff]
        );
        let mut sim = Sim::new(1);
        let (driver, a, b) = (sim.add_node("driver"), sim.add_node("a"), sim.add_node("b"));
        sim.boot(driver);
        for node in [a, b] {
            works(&mut sim, node);
        }
        [a, b].iter().for_each(|node| sim.crash(*node, CrashKind::Process));
        assert_eq!(reached(sim), [Probe::AllDown, Probe::SecondDown], "the driver is no node");
    }

    #[test]
    fn a_world_of_one_node_has_no_probes() {
        let mut sim = Sim::new(1);
        let node = sim.add_node("n");
        works(&mut sim, node);
        sim.crash(node, CrashKind::Process);
        assert!(sim.finish().probes.is_empty());
    }
}

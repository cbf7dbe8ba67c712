//! The fault budget in a world: which nodes may be hit, what is put off, and how far a run went.
//!
//! Without a limit nothing is asked and nothing is put off. Limits bind the weather: what a plan's
//! rates do. They do not bind orders: a plan's rules, and what a driver does itself.

use seedbed_faults::Budget;

use crate::choices::Choices;
use crate::node::{DOWN, Node};
use crate::stats::FaultKind;
use crate::world::World;

/// What an engine must survive, in the words of a budget: the most nodes of each kind.
pub type Tolerance = Budget;

/// When a reset that would be one too many is tried again, in nanoseconds.
const PUT_OFF_NS: u64 = 1_000_000_000;

/// How a node may be hit for good, and was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub may: bool,
    pub was: bool,
}

impl Default for Hit {
    fn default() -> Self {
        Self { may: true, was: false }
    }
}

/// Which of a node's hits.
type Which = fn(&mut Node) -> &mut Hit;

/// The new last node is a victim or not. As many are as the limit says, out of all nodes and of
/// so many nobodies, each with the same chance: a reservoir that nobodies fill at first. A victim
/// takes the place of a nobody, or of another node, unless that has been up already.
fn draw_victim(
    nodes: &mut [Node],
    choices: &mut Choices,
    (label, limit): (&'static str, Option<u64>),
    which: Which,
) {
    let Some(limit) = limit else { return };
    let (node, others) = nodes.split_last_mut().expect("a node was added");
    which(node).may = false;
    if limit == 0 {
        return;
    }
    let count = others.len() as u64 + 1;
    let Some(place) = choices.choose(label, limit.saturating_add(count)).checked_sub(count) else {
        return;
    };
    let mut victims = others.iter_mut().filter_map(|other| {
        let has_been_up = other.boot > 0;
        let hit = which(other);
        hit.may.then_some((hit, has_been_up))
    });
    match victims.nth(usize::try_from(place).unwrap_or(usize::MAX)) {
        Some((_, true)) => return,
        Some((hit, false)) => hit.may = false,
        None => {}
    }
    which(node).may = true;
}

impl World {
    /// Draws how the last node that was added may be hit, where there is a limit.
    pub(crate) fn draw_victims(&mut self) {
        let Budget { nodes_disk_faults_max, nodes_damaged_max, .. } = self.faults.budget;
        let (nodes, choices) = (&mut self.nodes[..self.node_count], &mut self.choices);
        let disk = ("budget.disk_victim", nodes_disk_faults_max);
        draw_victim(nodes, choices, disk, |node| &mut node.disk_faults);
        let media = ("budget.damage_victim", nodes_damaged_max);
        draw_victim(nodes, choices, media, |node| &mut node.damage);
    }

    fn nodes_down(&self) -> u64 {
        let nodes = self.nodes[..self.node_count].iter();
        nodes.filter(|node| node.boot > 0 && node.life == DOWN).count() as u64
    }

    /// Whether the weather may take one more node down.
    #[inline]
    pub(crate) fn may_go_down(&self) -> bool {
        self.faults.budget.nodes_down_max.is_none_or(|limit| self.nodes_down() < limit)
    }

    /// A node is at the operation at which it crashes: whether it does. If it may not, it will at
    /// the next one.
    #[inline]
    pub(crate) fn crashes_here(&mut self, index: usize) -> bool {
        let node = &self.nodes[index];
        if node.crash_at != Some(node.ops) {
            return false;
        }
        let may = self.may_go_down();
        if !may {
            let node = &mut self.nodes[index];
            node.crash_at = Some(node.ops + 1);
        }
        may
    }

    /// When a reset that is due may be tried again, if it would be one too many now.
    pub(crate) fn reset_put_off(&self, at: u64) -> Option<u64> {
        (!self.may_go_down()).then(|| at.max(self.now).saturating_add(PUT_OFF_NS))
    }

    /// A node has gone down.
    pub(crate) fn note_down(&mut self) {
        self.nodes_down_most = self.nodes_down_most.max(self.nodes_down());
    }

    /// A fault struck the disk of a node.
    pub(crate) fn note_fault(&mut self, index: usize, kind: FaultKind) {
        let node = &mut self.nodes[index];
        node.disk_faults.was |= FaultKind::FAILURES.contains(&kind);
        node.damage.was |= FaultKind::MEDIA.contains(&kind);
    }

    /// How far this run has gone: the most nodes of each kind that were hit.
    pub(crate) fn hit(&self) -> Budget {
        let nodes = &self.nodes[..self.node_count];
        let count = |was: fn(&Node) -> bool| nodes.iter().filter(|node| was(node)).count() as u64;
        Budget {
            nodes_down_max: Some(self.nodes_down_most),
            nodes_disk_faults_max: Some(count(|node| node.disk_faults.was)),
            nodes_damaged_max: Some(count(|node| node.damage.was)),
            nodes_cut_off_max: Some(self.net.cut_off_most()),
        }
    }
}

#[cfg(test)]
mod tests;

//! What a driver does to the network: partitions, clogs, rules, and healing.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Block, Blocked, NetRule, Packet, Side, Verdict, ip_of};
use crate::node::NodeId;
use crate::sim::Sim;
use crate::world::{Note, with};

impl NodeId {
    /// The node's address: 10.0.0.1 for the first one, and so on. It can be reached by the others
    /// there, and by itself at 127.0.0.1 as well.
    pub fn ip(self) -> Ipv4Addr {
        ip_of(self.0)
    }
}

/// Nodes as one side of a block.
fn side(nodes: &[NodeId]) -> Side {
    assert!(!nodes.is_empty(), "a side of a network has a node");
    Side::Nodes(nodes.iter().map(|node| node.0).collect())
}

impl Sim {
    /// Cuts the links between two groups of nodes, in both directions, until
    /// [`Sim::heal_network`]. What is sent is lost, and what is under way as well: datagrams for
    /// good, bytes of streams arrive later, requests to connect and their answers are repeated.
    pub fn partition(&mut self, left: &[NodeId], right: &[NodeId]) {
        self.partition_one_way(left, right);
        self.partition_one_way(right, left);
    }

    /// Cuts the links from some nodes to others, and not the way back, until
    /// [`Sim::heal_network`].
    pub fn partition_one_way(&mut self, from: &[NodeId], to: &[NodeId]) {
        self.block_links("partition", (side(from), side(to)), Blocked::Parted, u64::MAX);
    }

    /// Holds up what is sent from one node to another, and what is under way, for a while.
    pub fn clog(&mut self, from: NodeId, to: NodeId, lasts: Duration) {
        let ns = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
        if ns > 0 {
            self.block_links("clog", (side(&[from]), side(&[to])), Blocked::Clogged, ns);
        }
    }

    fn block_links(&mut self, op: &'static str, links: (Side, Side), how: Blocked, ns: u64) {
        with(|world| {
            let detail = format!("{:?} -> {:?}", links.0, links.1);
            world.digest.bytes(op.as_bytes());
            world.digest.bytes(detail.as_bytes());
            world.digest.word(ns);
            world.log(NodeId(0), || Note { op, detail, ..Note::default() });
            let (begins, ends) = (world.now, world.now.saturating_add(ns));
            let (from, to) = links;
            let block = Block { from, to, how, begins, ends };
            world.change_network(|net, moment| net.block(moment, block));
        });
    }

    /// Ends all partitions, clogs and swizzles. What waited for that arrives soon; rules stay in
    /// force as long as their guards live.
    pub fn heal_network(&mut self) {
        with(|world| {
            let op = "heal_network";
            world.digest.bytes(op.as_bytes());
            world.log(NodeId(0), || Note { op, ..Note::default() });
            world.change_network(|net, moment| net.heal(moment));
        });
    }

    /// Puts a rule in force for as long as what this returns lives. It is asked about each packet
    /// between nodes: requests to connect, what is written to streams, and datagrams. The first
    /// rule that does not let a packet pass decides.
    pub fn net_rule(&mut self, rule: impl FnMut(&Packet<'_>) -> Verdict + 'static) -> NetRule {
        NetRule::new(rule)
    }
}

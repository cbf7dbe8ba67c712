//! Rules of a driver: small predicates over packets, each with a verdict.
//!
//! They are the driver's code, so they run while the world is not borrowed and may use it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::node::NodeId;
use crate::world::{try_with, with};

/// What a rule says about a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The next rule is asked, and then the plan.
    #[default]
    Pass,
    /// It arrives so much later.
    Delay(Duration),
    /// It is lost: a datagram for good, of a stream it is sent again, and arrives later.
    Drop,
    /// A datagram arrives twice. A stream takes the second one for what it is.
    Duplicate,
}

impl Verdict {
    #[inline]
    pub(crate) fn delay_ns(self) -> u64 {
        match self {
            Self::Delay(by) => u64::try_from(by.as_nanos()).unwrap_or(u64::MAX),
            _ => 0,
        }
    }
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A request to connect.
    Connect,
    /// Bytes of a stream.
    Stream,
    /// A datagram.
    Datagram,
}

/// A packet that is about to be sent, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The node that sends it.
    pub from: NodeId,
    /// The node that it goes to.
    pub to: NodeId,
    /// The address that it is sent to.
    pub addr: SocketAddr,
    /// What it is.
    pub kind: PacketKind,
    /// What is in it; of a stream, what was given to be written.
    pub bytes: &'a [u8],
}

type Rule = Rc<RefCell<dyn FnMut(&Packet<'_>) -> Verdict>>;

/// The rules of a world, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Rules {
    rules: Vec<(u64, Rule)>,
    /// The last number given out; never reset, so that a guard of another world ends nothing here.
    made: u64,
}

impl Rules {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Takes all rules out, to be dropped while the world is not borrowed.
    pub(crate) fn end(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.rules)
    }
}

/// A rule that is in force as long as this lives.
#[derive(Debug)]
#[must_use = "the rule is in force as long as this lives"]
pub struct NetRule {
    id: u64,
}

impl NetRule {
    pub(crate) fn new(rule: impl FnMut(&Packet<'_>) -> Verdict + 'static) -> Self {
        let rule: Rule = Rc::new(RefCell::new(rule));
        with(|world| {
            world.net_rules.made += 1;
            let id = world.net_rules.made;
            world.net_rules.rules.push((id, rule));
            Self { id }
        })
    }
}

impl Drop for NetRule {
    fn drop(&mut self) {
        let removed = try_with(|world| {
            let rules = &mut world.net_rules.rules;
            let at = rules.iter().position(|(id, _)| *id == self.id)?;
            Some(rules.remove(at))
        });
        // What it has captured is dropped here, while the world is not borrowed.
        drop(removed);
    }
}

/// The verdict of the first rule that does not let a packet pass. A rule that sends something
/// itself is not asked about that.
pub(crate) fn judge(packet: &Packet<'_>) -> Verdict {
    let rules = with(|world| world.net_rules.rules.clone());
    let verdicts = rules.iter().filter_map(|(_, rule)| Some((rule.try_borrow_mut().ok()?)(packet)));
    verdicts.into_iter().find(|verdict| *verdict != Verdict::Pass).unwrap_or_default()
}

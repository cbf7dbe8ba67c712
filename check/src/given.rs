//! What a checker is given besides the history: what the system declares about itself, and what was
//! found from outside.

use crate::history::Offset;

/// What a coordinator without a record of a transaction says about it, and what it writes for that.
///
/// C. Mohan, B. Lindsay, R. Obermarck, "Transaction management in the R* distributed database
/// management system", ACM TODS 11(4), 1986.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// Plain two-phase commit: both decisions are logged and acknowledged; without any record of
    /// one, it aborts.
    PresumedNothing,
    /// No record means abort. Only commits are logged and acknowledged.
    #[default]
    PresumedAbort,
    /// No record means commit. An initiation record is forced before the first prepare; aborts are
    /// acknowledged.
    PresumedCommit,
}

/// What is given besides the history. What is `None` makes the laws that need it unknown, where the
/// history has anything for them to judge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The variant of the protocol that the coordinator declares.
    pub variant: Variant,
    /// Whether all faults that a transaction could notice stand in the history as intervals. AC4
    /// and the cost laws excuse what a fault touched, and know nothing without.
    pub faults_recorded: bool,
    /// Within how many ns after [`crate::Fact::Healed`] (or its begin, if later) a transaction must
    /// be decided everywhere in the core.
    pub decide_ns_max: Option<u64>,
    /// The most open connections of each pool.
    pub pool_connections_max: Option<u32>,
    /// The longest wait, in ns.
    pub wait_ns_max: Option<u64>,
    /// The most bytes in the buffer of a process.
    pub buffer_bytes_max: Option<u64>,
    /// What is in the target after the run: source records and how often each is there. May name a
    /// record more than once; the counts add up.
    pub target: Option<Vec<(Offset, u32)>>,
    /// Source records that were rejected legitimately (dead letters) and must not be in the target.
    pub rejected: Vec<Offset>,
}

//! Classes of operations that CPU time is accounted to, where somebody measures: see
//! [`seedbed_env::cpu`]. Elsewhere, as in every simulation, they are nothing.
//!
//! Tasks that never end are an operation at each poll.

use std::future::Future;

use seedbed_env::cpu::{Class, InClass, in_class};

/// What a commit does to the Merkle root.
pub(crate) static MERKLE: Class = Class::new("merkle");

static LOG_TASK: Class = Class::new("log task");
static SNAPSHOT: Class = Class::new("snapshot");
static SINK_BATCH: Class = Class::new("sink batch");
static SINK_CHECKPOINT: Class = Class::new("sink checkpoint");
static SINK_DECISION: Class = Class::new("sink decision");
static PARTICIPANT: Class = Class::new("participant");

/// The owner of a store's log: staging, writing, answering.
pub(crate) fn log_task<F: Future>(task: F) -> InClass<F> {
    in_class(&LOG_TASK, task).each_slice()
}

/// The writing of one snapshot.
pub(crate) fn snapshot<F: Future>(writing: F) -> InClass<F> {
    in_class(&SNAPSHOT, writing)
}

/// One transaction of a sink, until its votes are there.
pub(crate) fn sink_batch<F: Future>(batch: F) -> InClass<F> {
    in_class(&SINK_BATCH, batch)
}

/// The task that makes a sink's checkpoints.
pub(crate) fn sink_checkpoint<F: Future>(task: F) -> InClass<F> {
    in_class(&SINK_CHECKPOINT, task).each_slice()
}

/// Telling all participants of the decisions of one checkpoint.
pub(crate) fn sink_decision<F: Future>(telling: F) -> InClass<F> {
    in_class(&SINK_DECISION, telling)
}

/// One connection of an embedded participant's protocol.
pub(crate) fn participant<F: Future>(session: F) -> InClass<F> {
    in_class(&PARTICIPANT, session).each_slice()
}

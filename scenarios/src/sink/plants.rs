//! What is known of the sink's plants: the laws that each may break. They are bugs of the protocol,
//! which show on every file system.

use seedbed::PlantInfo;
use seedbed::check::laws::{
    AC1, AC2, AC3, AC5, BUFFER_DRAINED, CLEAN, CONTIGUOUS, DURABLE_DECISION, DURABLE_VOTE,
    EXACTLY_ONCE, FORCED_WRITES, HEURISTICS, LEAK, MESSAGES, ORPHANS, PRESUMPTION, STARVATION,
    TWO_PHASE, UNIQUE, UPSTREAM, WINDOW,
};
use seedbed::faults::Profile;
use seedbed_engines::atomic_commit;
use seedbed_engines::sink::Plant;

use super::{CONTENT, OPENS, RESOLVED, WORKS};

/// Every plant of the sink and of its embedded participant.
pub(super) fn all() -> Vec<PlantInfo> {
    Plant::ALL.iter().map(|plant| info(*plant)).collect()
}

fn info(plant: Plant) -> PlantInfo {
    if plant.benign() {
        return PlantInfo::benign(plant.name(), plant.about());
    }
    let bug = PlantInfo::bug(plant.name(), plant.about()).met(plant.met());
    let bug = bug.breaks(breaks(plant)).shows_on(Profile::EXT4);
    match plant {
        // What faults excuse shows best without any.
        Plant::ForgetsAtOnce | Plant::AbortsEverywhere | Plant::StopsByItself => bug.under("none"),
        _ => bug,
    }
}

/// What it is in the stores of the sink and its participants, if it is there.
pub(super) fn of_the_stores(plant: Plant) -> Option<atomic_commit::Plant> {
    match plant {
        Plant::SyncErrorIgnored => Some(atomic_commit::Plant::SyncErrorIgnored),
        Plant::SyncRetriedUntilOk => Some(atomic_commit::Plant::SyncRetriedUntilOk),
        _ => None,
    }
}

macro_rules! names {
    ($($law:expr),*) => {{
        static NAMES: &[&str] = &[$($law.name),*];
        NAMES
    }};
}

fn breaks(bug: Plant) -> &'static [&'static str] {
    match bug {
        Plant::VoteBeforeDurable => names![DURABLE_VOTE],
        Plant::CommitBeforeDurable => names![AC1, DURABLE_DECISION],
        Plant::AnsweredBeforeDurable => names![UPSTREAM],
        Plant::ParticipantsNotLogged => names![AC1, PRESUMPTION, AC5],
        Plant::UnilateralAbort => names![AC1, TWO_PHASE, WINDOW],
        Plant::CompletedAborted => names![AC1, AC2],
        Plant::FailedCommitted => names![AC1, AC3, DURABLE_DECISION],
        Plant::SupersededNotAborted => names![AC5, ORPHANS, HEURISTICS, RESOLVED],
        Plant::OffsetDespiteNo => names![CONTIGUOUS, CONTENT, EXACTLY_ONCE],
        Plant::OffsetBeforeFlush => names![CONTIGUOUS, ORPHANS],
        Plant::OpenTransactionHandedOut => names![CLEAN],
        Plant::ConnectionLeaked => names![AC5, HEURISTICS, LEAK, RESOLVED, STARVATION],
        Plant::BufferClearedEarly | Plant::PartialBatchAccepted => {
            names![CONTENT, EXACTLY_ONCE]
        }
        Plant::ForgottenTooEarly => names![AC1, AC2, PRESUMPTION],
        Plant::IdentifierReused => names![AC1, UNIQUE],
        Plant::ActiveResolved | Plant::StaleListing => names![AC1],
        Plant::NotTriedAgain => names![AC5, BUFFER_DRAINED, EXACTLY_ONCE],
        Plant::CloseHangs => names![RESOLVED],
        Plant::KeepsItsPlace => names![AC5, BUFFER_DRAINED, RESOLVED],
        Plant::StopsWhenLost => names![OPENS],
        Plant::StopsByItself => names![WORKS],
        Plant::ForgetsAtOnce => names![FORCED_WRITES],
        Plant::AbortsEverywhere => names![MESSAGES],
        // The others are benign.
        _ => &[],
    }
}

//! What is known of the sink's plants: the laws that each may break. They are bugs of the protocol,
//! which show on every file system.

use seedbed::PlantInfo;
use seedbed::check::laws::{
    AC1, AC2, AC3, AC4, AC5, BUFFER_DRAINED, BUFFER_MAX, CLEAN, CONTIGUOUS, DURABLE_DECISION,
    DURABLE_VOTE, EPOCHS, EXACTLY_ONCE, FENCING, FORCED_WRITES, HEURISTICS, LEAK, MESSAGES,
    ONE_HOLDER, ORDER, ORPHANS, POOL_MAX, PRESUMPTION, RESTORE, STARVATION, TWO_PHASE, UNIQUE,
    UPSTREAM, VOTES, WINDOW,
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
        Plant::CommitBeforeDurable => names![DURABLE_DECISION],
        Plant::AnsweredBeforeDurable => names![UPSTREAM],
        Plant::ParticipantsNotLogged => names![AC1, AC5, EPOCHS, EXACTLY_ONCE, PRESUMPTION],
        Plant::UnilateralAbort => names![AC1, AC4, TWO_PHASE, WINDOW],
        Plant::CompletedAborted => names![AC1, AC2],
        Plant::FailedCommitted => names![AC1, AC2, AC3, PRESUMPTION],
        Plant::SupersededNotAborted => {
            names![AC5, BUFFER_DRAINED, EXACTLY_ONCE, HEURISTICS, LEAK, ORPHANS, RESOLVED]
        }
        Plant::OffsetDespiteNo => names![CONTIGUOUS, CONTENT, EXACTLY_ONCE],
        Plant::OffsetBeforeFlush => names![CONTIGUOUS],
        Plant::OpenTransactionHandedOut => names![CLEAN],
        Plant::ConnectionLeaked => {
            names![AC5, EPOCHS, EXACTLY_ONCE, HEURISTICS, LEAK, RESOLVED, STARVATION]
        }
        Plant::BufferClearedEarly | Plant::PartialBatchAccepted => names![CONTENT, EXACTLY_ONCE],
        Plant::ForgottenTooEarly => names![AC1, AC2, PRESUMPTION],
        Plant::IdentifierReused => names![UNIQUE],
        Plant::ActiveResolved => names![AC1, AC2, AC4, EXACTLY_ONCE],
        Plant::StaleListing => names![AC1],
        Plant::NotTriedAgain => names![BUFFER_DRAINED, EXACTLY_ONCE],
        Plant::CloseHangs => names![RESOLVED],
        Plant::KeepsItsPlace => names![BUFFER_DRAINED, EXACTLY_ONCE, RESOLVED],
        Plant::StopsWhenLost => names![OPENS],
        Plant::StopsByItself => names![WORKS],
        Plant::ForgetsAtOnce => names![FORCED_WRITES],
        Plant::AbortsEverywhere => names![MESSAGES],
        Plant::AbortsWithoutReason => names![AC4],
        Plant::OneIsNotAsked => names![VOTES],
        Plant::OneIsNotTold => names![AC5, EPOCHS, EXACTLY_ONCE, HEURISTICS],
        Plant::ToldInTurn => names![AC5],
        Plant::NumberedFromOne => names![EXACTLY_ONCE, ORDER, UPSTREAM],
        Plant::RestoresTooEarly => names![CONTIGUOUS, RESTORE],
        Plant::NotFenced => names![FENCING],
        Plant::PoolGrows => names![POOL_MAX],
        Plant::BrokenIsKept => names![ONE_HOLDER],
        Plant::BufferHasNoLimit => names![BUFFER_MAX],
        // What a store has forgotten may be anything.
        Plant::SyncErrorIgnored | Plant::SyncRetriedUntilOk => {
            names![AC1, AC2, AC5, EPOCHS, HEURISTICS, OPENS, ORPHANS, RESOLVED, UNIQUE]
        }
        // The others are benign.
        _ => &[],
    }
}

//! Deliberate bugs of the sink and of its embedded participant, and benign twins. As the store's,
//! they are switched on by name in a build with the feature `plants`.

use crate::plants::plants;

plants! {
    bug VoteBeforeDurable, "vote_before_durable",
        "A participant votes yes before its prepare record is durable.";
    bug CommitBeforeDurable, "commit_before_durable",
        "The coordinator tells participants to commit before its decision is durable.";
    bug AnsweredBeforeDurable, "answered_before_durable",
        "The coordinator tells the source that a checkpoint is done before it is durable.",
        met: "RisingWave (issue 26498)";
    bug ParticipantsNotLogged, "participants_not_logged",
        "The durable decision names the first participant only.";
    bug UnilateralAbort, "unilateral_abort",
        "A participant aborts a prepared transaction when the decision does not come in time.",
        met: "Kafka transactions (KIP-939)";
    bug CompletedAborted, "completed_aborted",
        "Recovery aborts prepared transactions without looking at the decisions in the log.",
        met: "Arroyo (issue 224)";
    bug FailedCommitted, "failed_committed",
        "Recovery commits every transaction that it finds prepared.";
    bug SupersededNotAborted, "superseded_not_aborted",
        "Transactions that an earlier start left prepared without a decision are left alone.",
        met: "Flink (FLINK-40626)";
    bug OffsetDespiteNo, "offset_despite_no",
        "A checkpoint counts rows whose transaction a participant has refused.",
        met: "SeaTunnel (issue 10574)";
    bug OffsetBeforeFlush, "offset_before_flush",
        "A checkpoint's offset counts rows that are still in the buffer.",
        met: "SeaTunnel (issue 11534)";
    bug OpenTransactionHandedOut, "open_transaction_handed_out",
        "The pool takes connections back, and gives them out, with a transaction open.",
        met: "sqlx (issue 4385)";
    bug ConnectionLeaked, "connection_leaked",
        "A connection that broke keeps its place in the pool for ever.",
        met: "bb8 (issue 67)";
    bug BufferClearedEarly, "buffer_cleared_early",
        "Rows are gone when a participant has refused them: what is tried again is empty.";
    bug PartialBatchAccepted, "partial_batch_accepted",
        "A participant that rejects a row prepares those before it, and votes yes.";
    bug ForgottenTooEarly, "forgotten_too_early",
        "A decision to commit is forgotten before the participants are told.";
    bug IdentifierReused, "identifier_reused",
        "After a restart transactions have the names of earlier ones.",
        met: "pgdog (issue 1271)";
    bug ActiveResolved, "active_resolved",
        "Prepared transactions are aborted as abandoned although somebody works on them.";
    bug StaleListing, "stale_listing",
        "A transaction that ended while prepared ones were listed is taken for abandoned.",
        met: "this engine, before it was simulated";
    bug NotTriedAgain, "not_tried_again",
        "A batch that a participant did not answer is not tried again.";
    bug KeepsItsPlace, "keeps_its_place",
        "A batch keeps its place at a participant that has no room for an earlier one.",
        met: "this engine, before participants had a limit in simulation";
    bug CloseHangs, "close_hangs",
        "Closing the sink never ends, although everything is done.";
    bug StopsWhenLost, "stops_when_lost",
        "The sink stops when a connection is lost.";
    bug StopsByItself, "stops_by_itself",
        "The sink stops after its third checkpoint, as if its disk had failed.";
    bug ForgetsAtOnce, "forgets_at_once",
        "A decision is removed from the log by a forced write of its own, not with the next one.";
    bug AbortsEverywhere, "aborts_everywhere",
        "After a no, those who have voted no are told to abort as well.";
    bug AbortsWithoutReason, "aborts_without_reason",
        "Now and then a transaction is aborted that all participants have voted yes on.";
    bug OneIsNotAsked, "one_is_not_asked",
        "A transaction counts as prepared although its last participant was not asked.";
    bug OneIsNotTold, "one_is_not_told",
        "Of each checkpoint the last participant is not told to commit.";
    bug ToldInTurn, "told_in_turn",
        "A participant is told to commit when those before it have answered.";
    bug NumberedFromOne, "numbered_from_one",
        "After a restart checkpoints are numbered from 1 again.";
    bug RestoresTooEarly, "restores_too_early",
        "After a restart the source is asked for rows that are in the checkpoint.";
    bug NotFenced, "not_fenced",
        "A participant carries out requests of earlier starts of the sink.";
    bug PoolGrows, "pool_grows",
        "A pool makes one connection more than it may.";
    bug BrokenIsKept, "broken_is_kept",
        "A connection that broke is closed, and goes back into the pool.";
    bug BufferHasNoLimit, "buffer_has_no_limit",
        "Rows are taken although the buffer is full.";
    bug SyncErrorIgnored, "sync_error_ignored",
        "The stores of the sink and its participants take a sync that failed for done.";
    bug SyncRetriedUntilOk, "sync_retried_until_ok",
        "The stores of the sink and its participants repeat a sync that failed until it succeeds.";
    benign CommitsTwice, "commits_twice",
        "Every decision to commit is sent twice.";
    benign SmallBatches, "small_batches",
        "A transaction is made of a few rows at most.";
    benign SlowDecision, "slow_decision",
        "The coordinator waits for a moment between decision and commit.";
    benign ConnectionsNotKept, "connections_not_kept",
        "Every request has a connection of its own.";
}

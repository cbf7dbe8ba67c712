//! The oracle: what clients were told, and whether what is recovered agrees with it.
//!
//! Commits are totally ordered by the number that the store gave them at submission. The oracle
//! keeps them all, but for those that a verified recovery showed to be gone, and at each recovery
//! asks whether the entries are those after exactly `k` commits, with `k` between what must have
//! survived and what was submitted.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use seedbed::seam::map::FxHasher64;
use seedbed::{CrashKind, Violation};
use seedbed_engines::atomic_commit::{Batch, Durability, Hash, Snapshot, merkle};

use super::workload::{Write, key_bytes, value_bytes};
use super::{DETECTED, DURABLE, IDEMPOTENT, IN_DOUBT, MONOTONE, OBSERVED, PREFIX, READS, ROOT};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The entries after a commit, and their Merkle root by its definition.
#[derive(Debug)]
struct State {
    entries: Entries,
    merkle: Hash,
}

impl State {
    fn after<'a>(issued: impl Iterator<Item = &'a Issued>) -> Self {
        let mut entries = Entries::new();
        for (key, value) in issued.flat_map(|issued| &*issued.changes) {
            match value {
                Some(value) => entries.insert(key.clone(), value.clone()),
                None => entries.remove(key),
            };
        }
        let pairs = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let merkle = merkle::root_of(pairs);
        Self { entries, merkle }
    }
}

/// A commit that was submitted, and not lost in a verified recovery.
#[derive(Clone, Debug)]
struct Issued {
    seq: u64,
    /// Stands for the changes: no two commits have the same.
    tag: u64,
    changes: Arc<Changes>,
    /// The state after it, once it was needed: those before it never change.
    state: Arc<OnceLock<Arc<State>>>,
    answer: Answer,
    /// What was known to be durable when it was submitted: its record says so, and proves later
    /// that damage to any of that is damage and not a torn tail.
    vouches_for: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    /// None yet, or in doubt.
    Open,
    /// Acknowledged at this simulated time with this root.
    Acknowledged { at_ns: u64, root: Hash },
    /// Reported as not done.
    Failed,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    mode: Durability,
    /// The longest that two background syncs, or one and a checkpoint, can take in this world.
    flush_ns_max: u64,
    /// Commits in order, from the first.
    issued: Vec<Issued>,
    /// The last verified recovery brought this many commits.
    recovered: u64,
    /// Tags commits so that no two write the same value.
    tags: u64,
    /// The newest state shown to a reader.
    observed: u64,
    /// The newest commit that the store called durable.
    durable: u64,
    /// What the last crashes left to be expected.
    floor: Floor,
    /// Since the last verified recovery the power went, or the cache lost pages.
    power_lost: bool,
    /// Since the last verified recovery a write or sync failed, so that a store that syncs in the
    /// background may have stopped without anyone having been told yet.
    disk_failed: bool,
    /// When the last boot that recovered ended.
    stopped_ns: Option<u64>,
    /// Damage to the media that lasts.
    damage: Damage,
    /// Since the last verified recovery the store was given other bytes than the medium has.
    pub misread: bool,
    pub violation: Option<Violation>,
}

/// How a boot ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifeEnded {
    pub kind: CrashKind,
    pub now_ns: u64,
    /// A disk operation of this boot failed, or the node stood still for a while.
    pub disk_failed: bool,
}

/// Damage to the media, by what may still come of it. What a cache hides shows after a power loss,
/// when a recovery reads the media: what it then served was judged, and the damage is done with.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Damage {
    /// Bits and bytes that rotted since the last verified recovery.
    bits: u64,
    /// All faults so far, and those of them that may have hit any number of records.
    all: u64,
    wide: u64,
    /// The same at the last power loss since the last verified recovery, if there was one.
    at_power_loss: Option<(u64, u64)>,
    /// The same, of what is done with.
    done: (u64, u64),
}

impl Damage {
    fn is_open(&self) -> bool {
        self.all > self.done.0
    }

    /// Whether records that vouch for others can be relied on. The budget is one damage between
    /// recoveries: a second one can hit the very record that proves the first to be damage and not
    /// a torn tail.
    fn is_narrow(&self) -> bool {
        self.bits <= 1 && self.wide == self.done.1
    }

    /// A recovery was verified.
    fn recovered(&mut self) {
        self.done = self.at_power_loss.take().unwrap_or(self.done);
        self.bits = 0;
    }
}

/// The least that the next recovery must bring, and by which law.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Floor {
    acknowledged: u64,
    observed: u64,
}

impl Oracle {
    pub(crate) fn new(mode: Durability, flush_ns_max: u64) -> Self {
        Self { mode, flush_ns_max, ..Self::default() }
    }

    /// Two oracles with the same number say the same of the same recovery.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hash = FxHasher64::default();
        for Issued { seq, tag, changes: _, state: _, answer, vouches_for } in &self.issued {
            (seq, tag, answer, vouches_for).hash(&mut hash);
        }
        (self.recovered, self.observed, self.durable, self.floor).hash(&mut hash);
        // What a power loss on top of it would leave to be expected.
        let stopped_ns = self.stopped_ns.unwrap_or(0);
        self.floor_after(true, self.disk_failed, stopped_ns).hash(&mut hash);
        (self.damage, self.misread).hash(&mut hash);
        hash.finish()
    }

    /// Keeps the first violation.
    fn violated(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// A batch for the store, with values that nobody else writes.
    pub(crate) fn batch(&mut self, writes: &[Write]) -> Batch {
        self.tags += 1;
        let mut batch = Batch::new();
        for (key, value) in changes(self.tags, writes) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        batch
    }

    /// The store took the last made batch and numbered it.
    pub(crate) fn submitted(&mut self, seq: u64, tag: u64, writes: &[Write]) {
        let last = self.last_issued();
        if seq <= last {
            let expected = format!("{}; the last number was {last}", MONOTONE.statement);
            self.violated(Violation::new(MONOTONE.name, expected, format!("number {seq}")));
        }
        let (changes, state) = (Arc::new(changes(tag, writes)), Arc::default());
        let vouches_for = self.durable;
        self.issued.push(Issued { seq, tag, changes, state, answer: Answer::Open, vouches_for });
    }

    /// The tag of the last made batch.
    pub(crate) fn tag(&self) -> u64 {
        self.tags
    }

    pub(crate) fn acknowledged(&mut self, seq: u64, root: Hash, at_ns: u64) {
        if let Some(issued) = self.find(seq) {
            issued.answer = Answer::Acknowledged { at_ns, root };
        }
        if self.mode.survives_power_loss() {
            self.called_durable(seq);
        }
    }

    pub(crate) fn failed(&mut self, seq: u64) {
        if let Some(issued) = self.find(seq) {
            issued.answer = Answer::Failed;
        }
    }

    fn find(&mut self, seq: u64) -> Option<&mut Issued> {
        self.issued.iter_mut().rev().find(|issued| issued.seq == seq)
    }

    /// The store called everything up to `seq` durable.
    pub(crate) fn called_durable(&mut self, seq: u64) {
        self.durable = self.durable.max(seq);
    }

    /// The newest commit whose damage the files prove: a later durable commit vouches for it.
    fn confirmed(&self) -> u64 {
        let durable = self.issued.iter().filter(|issued| issued.seq <= self.durable);
        durable.map(|issued| issued.vouches_for).max().unwrap_or(0)
    }

    /// Somebody was shown that commits up to `seq` are done.
    pub(crate) fn observed(&mut self, seq: u64) {
        self.observed = self.observed.max(seq);
    }

    fn last_acknowledged(&self) -> u64 {
        self.last_acknowledged_before(u64::MAX)
    }

    /// The last commit acknowledged before a time, or recovered.
    fn last_acknowledged_before(&self, ns: u64) -> u64 {
        let before = |issued: &&Issued| match issued.answer {
            Answer::Acknowledged { at_ns, .. } => at_ns < ns,
            _ => false,
        };
        let last = self.issued.iter().rev().find(before).map_or(0, |issued| issued.seq);
        last.max(self.recovered)
    }

    fn last_issued(&self) -> u64 {
        self.issued.last().map_or(0, |issued| issued.seq).max(self.recovered)
    }

    /// A reader saw `value` under `key`.
    pub(crate) fn read(&mut self, key: u8, value: Option<&[u8]>, seq: u64) {
        let key = key_bytes(key);
        let (low, high) = (self.last_acknowledged().max(self.observed), self.last_issued());
        self.observed(seq);
        let mut now = None;
        let mut legal = low == 0 && value.is_none();
        for issued in &self.issued {
            if let Some((_, new)) = issued.changes.iter().rev().find(|(k, _)| *k == key) {
                now = new.as_deref();
            }
            legal |= issued.seq >= low && now == value;
        }
        if !legal {
            let got = format!("{} under {}", shown(value), String::from_utf8_lossy(&key));
            let expected = format!("{}: of commits {low} to {high}", READS.statement);
            self.violated(Violation::new(READS.name, expected, got));
        }
    }

    /// A reader saw everything.
    pub(crate) fn scanned(&mut self, snapshot: &Snapshot) {
        let (low, high) = (self.last_acknowledged().max(self.observed), self.last_issued());
        self.observed(snapshot.seq);
        if snapshot.seq < low || snapshot.seq > high {
            let expected = format!("{}: of commits {low} to {high}", READS.statement);
            let got = format!("the state after commit {}", snapshot.seq);
            return self.violated(Violation::new(READS.name, expected, got));
        }
        let want = self.state_after(snapshot.seq);
        if want.entries != snapshot.entries {
            let got = difference(&want.entries, &snapshot.entries);
            return self.violated(Violation::new(READS.name, READS.statement, got));
        }
        self.check_root(snapshot, &want);
    }

    /// The entries are those of `state`; so must the root be.
    fn check_root(&mut self, snapshot: &Snapshot, state: &State) {
        let want = merkle::state_root(snapshot.seq, &state.merkle);
        let told = self.find(snapshot.seq).and_then(|issued| match issued.answer {
            Answer::Acknowledged { root, .. } => Some(root),
            _ => None,
        });
        if snapshot.root != want || told.is_some_and(|told| told != want) {
            let told = told.map_or("nothing".to_owned(), |root| hex(&root));
            let got = format!("the store reports {}, and acknowledged {told}", hex(&snapshot.root));
            let expected = format!("{}: {} at commit {}", ROOT.statement, hex(&want), snapshot.seq);
            self.violated(Violation::new(ROOT.name, expected, got));
        }
    }

    fn state_after(&self, seq: u64) -> Arc<State> {
        let issued = || self.issued.iter().take_while(|issued| issued.seq <= seq);
        let state = || Arc::new(State::after(issued()));
        issued().last().map_or_else(state, |last| Arc::clone(last.state.get_or_init(state)))
    }

    /// The node ended: what must the next recovery bring?
    pub(crate) fn crashed(&mut self, end: &LifeEnded) {
        // What a process crash left in the cache, a power loss before the next recovery can take.
        if end.kind == CrashKind::PowerLoss {
            self.power_lost = true;
            self.damage.at_power_loss = Some((self.damage.all, self.damage.wide));
        }
        self.stopped_ns.get_or_insert(end.now_ns);
        self.disk_failed |= end.disk_failed;
        self.set_floor();
    }

    /// The kernel dropped pages that the device had refused: what was only in the cache may be gone
    /// without a power loss.
    pub(crate) fn cache_lost(&mut self) {
        self.power_lost = true;
        self.disk_failed = true;
        if self.stopped_ns.is_some() {
            self.set_floor();
        }
    }

    fn set_floor(&mut self) {
        let stopped_ns = self.stopped_ns.unwrap_or(0);
        self.floor = self.floor_after(self.power_lost, self.disk_failed, stopped_ns);
    }

    fn floor_after(&self, power_lost: bool, disk_failed: bool, stopped_ns: u64) -> Floor {
        let last = self.last_acknowledged();
        let acknowledged = match self.mode {
            _ if !power_lost => last,
            Durability::Immediate | Durability::Group { .. } => last,
            Durability::Batch(n) if !disk_failed => last.saturating_sub(n as u64 - 1),
            Durability::WriteBehind { interval } if !disk_failed => {
                self.last_acknowledged_before(self.window_start(stopped_ns, interval))
            }
            Durability::AsyncSync if !disk_failed => {
                self.last_acknowledged_before(self.window_start(stopped_ns, Duration::ZERO))
            }
            // The others promise nothing but what they called durable.
            _ => self.recovered,
        };
        // In a mode with a window a reader may see what a power loss can still take.
        let shown_is_durable = !power_lost || self.mode.survives_power_loss();
        let observed = if shown_is_durable { self.observed } else { self.recovered };
        Floor { acknowledged: acknowledged.max(self.durable), observed }
    }

    /// What was acknowledged before this time had time to become durable in the background.
    fn window_start(&self, stopped_ns: u64, interval: Duration) -> u64 {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        stopped_ns.saturating_sub(interval.saturating_add(self.flush_ns_max))
    }

    /// So many bits or bytes have rotted since the last verified recovery; so many faults of the
    /// media that last there have been, and so many of them that may have hit much.
    pub(crate) fn damaged(&mut self, bits: u64, all: u64, wide: u64) {
        self.damage.bits += bits;
        (self.damage.all, self.damage.wide) = (all, wide);
    }

    /// Whether the store may find bytes that it did not write.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.is_open() || self.misread
    }

    /// A recovery served this. The central check.
    pub(crate) fn recovered(&mut self, snapshot: &Snapshot) {
        let k = snapshot.seq;
        let damaged = self.is_damaged();
        if !damaged && self.last_issued() == self.recovered && k != self.recovered {
            let expected = format!("{}: commit {}", IDEMPOTENT.statement, self.recovered);
            self.violated(Violation::new(IDEMPOTENT.name, expected, format!("commit {k}")));
        }
        if damaged {
            let proven = self.damage.is_narrow() && !self.misread;
            let floor = if proven { self.confirmed() } else { 0 };
            self.check_floor(k, floor, &DETECTED);
        } else {
            self.check_floor(k, self.floor.acknowledged, &DURABLE);
            self.check_floor(k, self.floor.observed, &OBSERVED);
        }
        let failed = self.issued.iter().find(|issued| issued.answer == Answer::Failed);
        if let Some(failed) = failed.filter(|failed| failed.seq <= k).map(|failed| failed.seq) {
            let got = format!("commit {failed} was reported as not done and is there");
            self.violated(Violation::new(IN_DOUBT.name, IN_DOUBT.statement, got));
        }
        let high = self.last_issued();
        if k > high {
            let expected = format!("{}: at most {high} commits were submitted", PREFIX.statement);
            let got = format!("a state after {k} commits");
            return self.violated(Violation::new(PREFIX.name, expected, got));
        }
        let want = self.state_after(k);
        if want.entries != snapshot.entries {
            let law = if damaged { DETECTED } else { PREFIX };
            let expected = format!("{} (here: after commit {k})", law.statement);
            let got = difference(&want.entries, &snapshot.entries);
            return self.violated(Violation::new(law.name, expected, got));
        }
        self.check_root(snapshot, &want);
        self.rebase(k);
    }

    fn check_floor(&mut self, k: u64, floor: u64, law: &seedbed::Law) {
        if k < floor {
            let expected = format!("{}: at least commit {floor}", law.statement);
            let got = format!("recovered up to commit {k}; {} are gone", floor - k);
            self.violated(Violation::new(law.name, expected, got));
        }
    }

    /// What was not recovered is gone for good.
    fn rebase(&mut self, k: u64) {
        self.issued.retain(|issued| issued.seq <= k);
        self.recovered = k;
        self.observed = k;
        self.durable = k;
        self.floor = Floor::default();
        self.power_lost = false;
        self.disk_failed = false;
        self.stopped_ns = None;
        self.damage.recovered();
        self.misread = false;
    }
}

fn changes(tag: u64, writes: &[Write]) -> Changes {
    let change = |write: &Write| (key_bytes(write.key), write.len.map(|len| value_bytes(tag, len)));
    writes.iter().map(change).collect()
}

/// The first key on which two states differ.
fn difference(want: &Entries, got: &Entries) -> String {
    let keys: std::collections::BTreeSet<_> = want.keys().chain(got.keys()).collect();
    let differs = |key: &&&Vec<u8>| want.get(**key) != got.get(**key);
    let different: Vec<_> = keys.iter().filter(differs).collect();
    let Some(key) = different.first() else { return "no difference".to_owned() };
    format!(
        "{} keys differ; {} should be {} and is {}",
        different.len(),
        String::from_utf8_lossy(key),
        shown(want.get(**key).map(Vec::as_slice)),
        shown(got.get(**key).map(Vec::as_slice))
    )
}

/// A value by its length and its commit's tag.
fn shown(value: Option<&[u8]>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(value) => {
            let head: Vec<String> = value.iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("{} bytes {}", value.len(), head.join(""))
        }
    }
}

fn hex(hash: &Hash) -> String {
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::Damage;

    #[test]
    fn damage_excuses_until_a_recovery_after_a_power_loss_was_verified() {
        let mut damage = Damage { bits: 1, all: 1, ..Damage::default() };
        assert!(damage.is_open() && damage.is_narrow());
        damage.recovered();
        assert!(damage.is_open(), "the cache may have hidden it");
        damage.at_power_loss = Some((damage.all, damage.wide));
        damage.all += 1;
        damage.wide += 1;
        damage.recovered();
        assert!(damage.is_open() && !damage.is_narrow(), "the second came after the power loss");
        damage.at_power_loss = Some((damage.all, damage.wide));
        damage.recovered();
        assert!(!damage.is_open() && damage.is_narrow(), "durability is judged again");
    }
}

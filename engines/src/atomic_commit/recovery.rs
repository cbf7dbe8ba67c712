//! Opening: create a new store, or load, verify, replay, mend the tail, and only then serve.
//!
//! Invariants: nothing is changed before everything was verified; nothing old is removed before
//! the snapshot that replaces it has a durable name; what is served was made durable first; done
//! again it finds nothing to write.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seedbed_env::{Env, File, FileKind, OpenOptions};

use super::checkpoint::{self, HINT, SNAPSHOT, SNAPSHOT_TMP, wal_generation, wal_path};
use super::error::{Error, at, bad_header, corrupt};
use super::format::{self, KIND_COMMIT};
use super::kernel::{self, Entries, Kernel};
use super::merkle::Tree;
use super::options::Options;
use super::plant::Plant;
use super::shared::{Shared, Visible};
use super::snapshot::{self, Loaded};
use crate::record_log::{self, FILE_HEADER_LEN, Record, ScanEnd, ScanRules, Scanner, Writer};

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The last commit that was recovered; 0 in an empty store.
    pub seq: u64,
    /// Whether the store was created.
    pub created: bool,
    /// The live log's generation.
    pub generation: u64,
    /// The last commit in the snapshot.
    pub snapshot_seq: u64,
    /// Commits replayed from the log.
    pub replayed: u64,
    /// Length of what was cut off behind the last valid record, in bytes: a torn tail, or zeros
    /// that were written ahead.
    pub truncated_bytes: u64,
    /// Length of the log's tail that was written once more, in bytes, because the log did not say
    /// that it was durable.
    pub rewritten_bytes: u64,
    /// Files that were removed: old logs and an unfinished snapshot.
    pub removed_files: u64,
}

/// A store that is ready to serve.
#[derive(Debug)]
pub(super) struct Recovered<F> {
    pub(super) recovery: Recovery,
    pub(super) shared: Arc<Shared>,
    pub(super) kernel: Kernel,
    pub(super) log: Writer<F>,
}

/// Our names in the directory.
#[derive(Debug, Default)]
struct Names {
    snapshot: bool,
    tmp: bool,
    generations: Vec<u64>,
}

/// The log after its replay.
struct Replayed<F> {
    file: F,
    path: PathBuf,
    header: record_log::FileHeader,
    kernel: Kernel,
    entries: Entries,
    commits: u64,
    /// Where the last valid record ends.
    valid_len: u64,
    file_len: u64,
    /// Where the records start that no watermark covers, and the number before them.
    tail: (u64, u64),
}

/// Opens or creates the store in `dir`.
pub(super) async fn recover<E: Env>(
    env: &E,
    dir: &Path,
    options: &Options,
) -> Result<Recovered<E::File>, Error> {
    ensure_dir(env, dir).await?;
    let mut names = list(env, dir).await?;
    if names.tmp && options.planted(Plant::OnlyCopyCleanedUp) {
        let tmp = dir.join(SNAPSHOT_TMP);
        env.remove_file(&tmp).await.map_err(at(&tmp, "remove"))?;
        names.tmp = false;
    }
    if !names.snapshot {
        return create(env, dir, options, &names).await;
    }
    if options.planted(Plant::UnsyncedHint) {
        read_planted_hint(env, dir).await;
    }
    let loaded = snapshot::load(env, &dir.join(SNAPSHOT)).await?;
    let header = loaded.header;
    let replayed = replay(env, dir, options, loaded).await?;
    let mut recovery = Recovery {
        seq: replayed.kernel.seq(),
        generation: header.generation,
        snapshot_seq: header.seq,
        replayed: replayed.commits,
        ..Recovery::default()
    };
    check_leftovers(env, dir, &names, header.generation).await?;
    let settled = settle(env, dir, options, replayed, &mut recovery).await?;
    let Settled { mut log, mut kernel, entries } = settled;
    recovery.removed_files = remove_leftovers(env, dir, &names, header.generation).await?;
    recovery.seq = kernel.seq();
    let visible = Visible { seq: kernel.seq(), root: kernel.root(), entries };
    let shared = Arc::new(Shared::new(visible, kernel.seq()));
    assert_eq!(kernel.seq(), recovery.seq);
    if options.planted(Plant::RecoveryRemovesLogEarly) && !log.is_empty() {
        let old = wal_path(dir, header.generation);
        env.remove_file(&old).await.map_err(at(&old, "remove"))?;
        log = checkpoint::switch(env, dir, options, header.generation + 1, &shared).await?;
        recovery.generation = log.header().generation;
    }
    if options.planted(Plant::SequenceRestarts) {
        log.forget_sequence();
        kernel.pretend_seq(0);
        shared.restart_sequence();
    }
    tracing::debug!(?recovery, "recovered");
    Ok(Recovered { recovery, shared, kernel, log })
}

/// Creates the directory if it is missing.
async fn ensure_dir<E: Env>(env: &E, dir: &Path) -> Result<(), Error> {
    match env.create_dir(dir).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // Some worlds refuse before they see that it is there: the listing will tell.
        Err(error) => match env.read_dir(dir).await {
            Ok(_) => Ok(()),
            Err(_) => Err(at(dir, "create the folder")(error)),
        },
    }
}

/// Finds our files; all others are left alone.
async fn list<E: Env>(env: &E, dir: &Path) -> Result<Names, Error> {
    let mut names = Names::default();
    for entry in env.read_dir(dir).await.map_err(at(dir, "list"))? {
        let generation = wal_generation(&entry.name);
        let ours = [SNAPSHOT, SNAPSHOT_TMP].contains(&entry.name.as_str());
        if entry.kind == FileKind::Dir {
            if ours || generation.is_some() {
                return Err(Error::NotOurs { path: dir.join(&entry.name) });
            }
            continue;
        }
        match entry.name.as_str() {
            SNAPSHOT => names.snapshot = true,
            SNAPSHOT_TMP => names.tmp = true,
            _ => names.generations.extend(generation),
        }
    }
    assert!(names.generations.is_sorted(), "directories are listed in order");
    Ok(names)
}

/// Makes a new store where there is none, or only the remains of an earlier attempt.
async fn create<E: Env>(
    env: &E,
    dir: &Path,
    options: &Options,
    names: &Names,
) -> Result<Recovered<E::File>, Error> {
    let first = names.generations.iter().all(|&generation| generation == 1);
    if !first {
        return Err(corrupt(&dir.join(SNAPSHOT), 0, "missing, although there are logs"));
    }
    check_leftovers(env, dir, names, 0).await?;
    // The folder's own name. Its parent is "." for a relative path of one component.
    if let Some(parent) = dir.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        env.sync_dir(parent).await.map_err(at(parent, "sync the store's name in"))?;
    }
    let planted = options.planted(Plant::StaleRootOnDelete);
    let kernel = Kernel::new(0, Tree::default(), planted);
    let visible = Visible { seq: 0, root: kernel.root(), entries: Entries::new() };
    let shared = Arc::new(Shared::new(visible, 0));
    let log = checkpoint::switch(env, dir, options, 1, &shared).await?;
    let recovery = Recovery { created: true, generation: 1, ..Recovery::default() };
    assert!(log.is_empty() && kernel.seq() == 0);
    Ok(Recovered { recovery, shared, kernel, log })
}

/// Reads the live log and does its commits to the snapshot's state. Changes no file.
async fn replay<E: Env>(
    env: &E,
    dir: &Path,
    options: &Options,
    loaded: Loaded,
) -> Result<Replayed<E::File>, Error> {
    let header = loaded.header;
    if header.generation == 0 || header.generation.max(header.seq) > u64::MAX / 2 {
        return Err(corrupt(&dir.join(SNAPSHOT), 16, "no store ever counted that far"));
    }
    let path = wal_path(dir, header.generation);
    let file = open_live_log(env, &path).await?;
    let scanner = Scanner::open(&file, rules(options)).await.map_err(at(&path, "read"))?;
    let mut scanner = scanner.map_err(|error| bad_header(&path, error))?;
    let found = *scanner.header();
    if (found.generation, found.salt, found.base_seq)
        != (header.generation, header.wal_salt, header.seq)
    {
        return Err(corrupt(&path, 16, "not the log that the snapshot names"));
    }
    let drops_last = options.planted(Plant::RecoveryDropsTailRecord);
    let limit = if drops_last { commits_but_one(&scanner, &path).await? } else { u64::MAX };
    let trusts = rules(options).trusts();
    let planted = options.planted(Plant::StaleRootOnDelete);
    let mut state = State {
        kernel: Kernel::new(header.seq, loaded.tree, planted),
        entries: loaded.entries,
        trusts,
        commits: 0,
    };
    // What no watermark covers yet: where each record starts, the number before it, its own.
    let (mut valid_len, mut tail) = (scanner.valid_len(), VecDeque::new());
    while state.commits < limit {
        let at_byte = scanner.valid_len();
        let Some(record) = scanner.next().await.map_err(at(&path, "read"))? else { break };
        tail.push_back((at_byte, state.kernel.seq(), record.seq));
        state.redo(&record).map_err(|reason| corrupt(&path, at_byte, reason))?;
        valid_len = scanner.valid_len();
        let confirmed = scanner.confirmed();
        while tail.front().is_some_and(|&(_, _, seq)| seq <= confirmed) {
            tail.pop_front();
        }
    }
    if !options.planted(Plant::TailAlwaysTorn) {
        judge_end(&path, &scanner)?;
    }
    if options.planted(Plant::RedoTwice) {
        redo_twice(&scanner, &path, &state.entries).await?;
    }
    let none = (valid_len, state.kernel.seq());
    let believed = options.planted(Plant::ChecksumWithoutNumber);
    let rewritable =
        |&&(_, before, seq): &&(u64, u64, u64)| !trusts || believed && seq == before + 1;
    let tail = tail.front().filter(rewritable).map_or(none, |&(start, seq, _)| (start, seq));
    let file_len = scanner.file_len();
    let State { kernel, entries, commits, .. } = state;
    assert!(tail.0 <= valid_len && valid_len <= file_len);
    let header = found;
    Ok(Replayed { file, path, header, kernel, entries, commits, valid_len, file_len, tail })
}

/// Opens the log that the snapshot names.
async fn open_live_log<E: Env>(env: &E, path: &Path) -> Result<E::File, Error> {
    let writable = OpenOptions::new().read(true).write(true);
    assert!(!writable.create, "a live log that is missing is not made up");
    match env.open(path, writable).await {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(corrupt(path, 0, "missing, although the snapshot names it"))
        }
        Err(error) => Err(at(path, "open")(error)),
    }
}

/// Replay in progress.
struct State {
    kernel: Kernel,
    entries: Entries,
    /// A planted bug: neither sequence nor root are compared.
    trusts: bool,
    commits: u64,
}

impl State {
    /// Does one record; the error says what is wrong with it.
    fn redo(&mut self, record: &Record<'_>) -> Result<(), String> {
        if record.kind != KIND_COMMIT {
            return Err(format!("a record of kind {} that does not belong here", record.kind));
        }
        if record.seq != self.kernel.seq() + 1 {
            if !self.trusts {
                let expected = self.kernel.seq() + 1;
                return Err(format!("commit {} where {expected} must follow", record.seq));
            }
            self.kernel.pretend_seq(record.seq.saturating_sub(1));
        }
        let (root, ops) = format::decode_commit(record.payload)?;
        if self.kernel.advance(ops) != root && !self.trusts {
            return Err(format!("commit {} does not lead to the root it says", record.seq));
        }
        kernel::apply(&mut self.entries, ops);
        self.commits += 1;
        assert_eq!(self.kernel.seq(), record.seq);
        Ok(())
    }
}

/// The planted deviation of the scan.
#[cfg(feature = "plants")]
fn rules(options: &Options) -> ScanRules {
    use crate::record_log::Deviation;
    let deviation = match options.plant {
        Some(Plant::RecordChecksumIgnored) => Some(Deviation::IgnoreChecksum),
        Some(Plant::ChecksumWithoutNumber) => Some(Deviation::TrustNumber),
        Some(Plant::LengthTrusted) => Some(Deviation::TrustLength),
        Some(Plant::BadRecordSkipped) => Some(Deviation::SkipBad),
        Some(Plant::LostPageSkipped) => Some(Deviation::SkipZeros),
        _ => None,
    };
    ScanRules { deviation }
}

/// Production builds have one way to scan.
#[cfg(not(feature = "plants"))]
fn rules(_options: &Options) -> ScanRules {
    ScanRules::default()
}

/// A planted bug's limit: all commits of the log but the last.
async fn commits_but_one<F: File>(scanner: &Scanner<'_, F>, path: &Path) -> Result<u64, Error> {
    let header = *scanner.header();
    let mut all = scanner.twin(FILE_HEADER_LEN as u64, scanner.file_len(), header.base_seq);
    let mut commits = 0_u64;
    while let Some(record) = all.next().await.map_err(at(path, "read"))? {
        commits += u64::from(record.kind == KIND_COMMIT);
    }
    assert!(all.end().is_some(), "the scan went to the end");
    Ok(commits.saturating_sub(1))
}

/// A torn tail is the normal trace of a crash; what a later record vouches for is not.
fn judge_end<F: File>(path: &Path, scanner: &Scanner<'_, F>) -> Result<(), Error> {
    let Some(ScanEnd::Torn(torn)) = scanner.end() else { return Ok(()) };
    assert_eq!(torn.offset, scanner.valid_len());
    if !torn.is_corruption() {
        return Ok(());
    }
    let vouched = match torn.later {
        Some(later) => format!("a record at byte {} says it was durable", later.offset),
        None => "this is not what a crash leaves".to_owned(),
    };
    let reason = format!("commit {}: {}, but {vouched}", torn.seq, torn.reason);
    Err(corrupt(path, torn.offset, reason))
}

/// A benign plant: redo is idempotent.
async fn redo_twice<F: File>(
    scanner: &Scanner<'_, F>,
    path: &Path,
    entries: &Entries,
) -> Result<(), Error> {
    let mut scratch = entries.clone();
    let base_seq = scanner.header().base_seq;
    let mut again = scanner.twin(FILE_HEADER_LEN as u64, scanner.valid_len(), base_seq);
    let mut is_whole = false;
    while let Some(record) = again.next().await.map_err(at(path, "read"))? {
        if record.kind == KIND_COMMIT {
            let (_, ops) =
                format::decode_commit(record.payload).map_err(|reason| corrupt(path, 0, reason))?;
            kernel::apply(&mut scratch, ops);
        }
        is_whole = again.valid_len() == scanner.valid_len();
    }
    // The kernel may drop pages that it could not write, between two readings.
    assert!(!is_whole || scratch == *entries, "a log done twice gives the same state");
    Ok(())
}

/// Cuts a torn tail, writes once more what is not known to be durable, and syncs: only then is the
/// state served. Doing it again changes no byte.
///
/// A tail of nothing but zeros is cut as well. They may have been part of a sync that failed, and
/// what is then written over them would not make the file's length durable.
async fn settle<E: Env>(
    env: &E,
    dir: &Path,
    options: &Options,
    replayed: Replayed<E::File>,
    recovery: &mut Recovery,
) -> Result<Settled<E::File>, Error> {
    let Replayed { file, path, header, kernel, entries, valid_len, file_len, tail, .. } = replayed;
    let torn = file_len > valid_len && !options.planted(Plant::TornTailNotTruncated);
    if torn {
        file.set_len(valid_len).await.map_err(at(&path, "cut the torn tail of"))?;
        recovery.truncated_bytes = file_len - valid_len;
    }
    let end = if torn { valid_len } else { file_len };
    let log = Writer::resume(file, header, end, kernel.seq());
    let log = log.write_ahead(options.zeros_ahead());
    if !options.planted(Plant::RecoveryNotSynced) {
        rewrite_tail(&log, &path, tail, valid_len, options).await?;
        recovery.rewritten_bytes = valid_len - tail.0;
        log.sync().await.map_err(at(&path, "sync the recovered tail of"))?;
    }
    // A crash may have come between the rename and its sync.
    env.sync_dir(dir).await.map_err(at(dir, "sync the recovered names in"))?;
    assert_eq!(log.header().generation, recovery.generation);
    Ok(Settled { log, kernel, entries })
}

/// A log that can be appended to, and its state.
struct Settled<F> {
    log: Writer<F>,
    kernel: Kernel,
    entries: Entries,
}

/// Writes the records from `tail` to `end` once more, each verified again.
///
/// After a failed sync the page cache can hold bytes that no later sync writes, because it takes
/// them for written; only writing them again makes a sync cover them.
async fn rewrite_tail<F: File>(
    log: &Writer<F>,
    path: &Path,
    tail: (u64, u64),
    end: u64,
    options: &Options,
) -> Result<(), Error> {
    let (start, seq) = tail;
    assert!(start <= end, "the tail ends with the last valid record");
    let file = Arc::clone(log.file());
    let mut scanner = Scanner::within(&*file, *log.header(), start..end, seq);
    let mut again = Writer::resume_shared(Arc::clone(&file), *log.header(), start, seq);
    let mut staged_from = start;
    while let Some(record) = scanner.next().await.map_err(at(path, "read again"))? {
        let staged = again.stage(record.kind, record.seq, record.confirmed, &[record.payload]);
        staged.expect("it was a record before");
        if again.len() - staged_from >= REWRITE_CHUNK {
            again.write().await.map_err(at(path, "write again"))?;
            staged_from = again.len();
        }
    }
    if options.planted(Plant::RecoveryRewritesInPlace) && staged_from == start {
        log.file().set_len(start).await.map_err(at(path, "cut"))?;
    }
    again.write().await.map_err(at(path, "write again"))?;
    if again.len() == end {
        return Ok(());
    }
    // Not damage: nobody has confirmed this record, and the kernel may drop a page from the cache
    // that it could not write.
    let gone = format!(
        "the record at byte {} is not there any more; if the disk works now, open the store again",
        again.len()
    );
    Err(at(path, "read again")(io::Error::other(gone)))
}

/// Bytes that are written again at once.
const REWRITE_CHUNK: u64 = 1 << 20;

/// Refuses to remove a file that has a name of ours but is not ours.
async fn check_leftovers<E: Env>(
    env: &E,
    dir: &Path,
    names: &Names,
    live: u64,
) -> Result<(), Error> {
    for path in leftovers(dir, names, live) {
        let file = env.open(&path, OpenOptions::reading()).await.map_err(at(&path, "open"))?;
        let len = file.len().await.map_err(at(&path, "read the length of"))?;
        let mut magic = [0; 8];
        let some = &mut magic[..len.min(8) as usize];
        file.read_exact_at(some, 0).await.map_err(at(&path, "read"))?;
        let generation = path.file_name().and_then(|name| wal_generation(name.to_str()?));
        let expected = generation.map_or(format::SNAPSHOT_MAGIC, |_| record_log::MAGIC);
        // A crash can leave zeros instead of any of the bytes.
        let ours = some.iter().zip(expected).all(|(&byte, magic)| byte == magic || byte == 0);
        if !ours {
            return Err(Error::NotOurs { path });
        }
        // Commits go to a new log only when the snapshot that names it is durable.
        if generation.is_some_and(|new| new > live) && len > FILE_HEADER_LEN as u64 {
            let reason = "it has commits, but the snapshot that names it is gone";
            return Err(corrupt(&path, FILE_HEADER_LEN as u64, reason));
        }
    }
    Ok(())
}

/// Logs that are not the live one, and an unfinished snapshot.
fn leftovers(dir: &Path, names: &Names, live: u64) -> Vec<PathBuf> {
    let logs = names.generations.iter().filter(|&&generation| generation != live);
    let mut paths: Vec<_> = logs.map(|&generation| wal_path(dir, generation)).collect();
    paths.extend(names.tmp.then(|| dir.join(SNAPSHOT_TMP)));
    assert!(paths.len() <= names.generations.len() + 1);
    paths
}

/// Removes what an earlier life left behind; how many files. Not synced: what comes back is
/// removed again.
async fn remove_leftovers<E: Env>(
    env: &E,
    dir: &Path,
    names: &Names,
    live: u64,
) -> Result<u64, Error> {
    let paths = leftovers(dir, names, live);
    assert!(!paths.contains(&wal_path(dir, live)), "the live log stays");
    for path in &paths {
        env.remove_file(path).await.map_err(at(path, "remove"))?;
    }
    Ok(paths.len() as u64)
}

/// A benign plant: what a hint says is used for nothing, and ignored where it is not valid.
async fn read_planted_hint<E: Env>(env: &E, dir: &Path) {
    let Ok(file) = env.open(dir.join(HINT), OpenOptions::reading()).await else { return };
    let mut bytes = [0; 12];
    if file.read_exact_at(&mut bytes, 0).await.is_err() {
        return;
    }
    let valid = bytes[8..] == (crc32c::crc32c(&bytes[..8]) ^ u32::MAX).to_le_bytes();
    assert!(bytes.len() == 12, "a hint is a number and its checksum");
    tracing::debug!(valid, "a hint was found");
}

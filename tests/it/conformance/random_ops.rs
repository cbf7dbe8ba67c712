//! Random sequences of file operations give the same results, one by one, in both worlds.

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use seedbed::Sim;
use seedbed::seam::{Env, File, Fs, OpenOptions};
use seedbed_env::OsEnv;

#[derive(Clone, Debug)]
enum Step {
    Open { slot: usize, path: &'static str, options: OpenOptions },
    Close { slot: usize },
    Read { slot: usize, len: usize, offset: u64 },
    Write { slot: usize, len: usize, offset: u64, fill: u8 },
    SetLen { slot: usize, len: u64 },
    Len { slot: usize },
    Sync { slot: usize },
    SyncRange { slot: usize, offset: u64, len: u64 },
    Allocate { slot: usize, offset: u64, len: u64, keep_size: bool },
    Rename { from: &'static str, to: &'static str },
    HardLink { from: &'static str, to: &'static str },
    RemoveFile(&'static str),
    CreateDir(&'static str),
    RemoveDir(&'static str),
    ReadDir(&'static str),
    SyncDir(&'static str),
}

const SLOTS: usize = 3;

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "e"])
}

fn options() -> impl Strategy<Value = OpenOptions> {
    let (is_linux, knows_direct) = (cfg!(target_os = "linux"), knows_direct());
    (any::<[bool; 5]>(), 0..6_u8).prop_map(move |([read, write, truncate, new, more], rare)| {
        OpenOptions {
            read,
            write,
            create: true,
            truncate: truncate && rare == 0,
            create_new: new && rare == 1,
            append: is_linux && more && rare == 2,
            dsync: is_linux && more && rare == 3,
            direct: knows_direct && more && rare == 4,
        }
    })
}

/// Whether the file system of the target directory takes `O_DIRECT`; without it the sequences have
/// none.
fn knows_direct() -> bool {
    static KNOWS: OnceLock<bool> = OnceLock::new();
    *KNOWS.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let env = OsEnv::new(folder.path());
        let options = OpenOptions::read_write_create().direct(true);
        let opened = runtime.expect("a runtime").block_on(env.open("a", options));
        let error = opened.err();
        error.iter().for_each(|error| eprintln!("without O_DIRECT: {error}"));
        error.is_none()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..SLOTS;
    prop_oneof![
        4 => (slot(), path(), options())
            .prop_map(|(slot, path, options)| Step::Open { slot, path, options }),
        1 => slot().prop_map(|slot| Step::Close { slot }),
        3 => (slot(), 0..9000_usize, 0..9000_u64)
            .prop_map(|(slot, len, offset)| Step::Read { slot, len, offset }),
        4 => (slot(), 0..6000_usize, 0..9000_u64, any::<u8>())
            .prop_map(|(slot, len, offset, fill)| Step::Write { slot, len, offset, fill }),
        2 => (slot(), 0..9000_u64).prop_map(|(slot, len)| Step::SetLen { slot, len }),
        1 => slot().prop_map(|slot| Step::Len { slot }),
        1 => slot().prop_map(|slot| Step::Sync { slot }),
        1 => (slot(), 0..9000_u64, 0..9000_u64)
            .prop_map(|(slot, offset, len)| Step::SyncRange { slot, offset, len }),
        1 => (slot(), 0..9000_u64, 0..9000_u64, any::<bool>()).prop_map(
            |(slot, offset, len, keep_size)| Step::Allocate { slot, offset, len, keep_size }
        ),
        3 => (path(), path()).prop_map(|(from, to)| Step::Rename { from, to }),
        2 => (path(), path()).prop_map(|(from, to)| Step::HardLink { from, to }),
        1 => path().prop_map(Step::RemoveFile),
        2 => path().prop_map(Step::CreateDir),
        1 => path().prop_map(Step::RemoveDir),
        1 => path().prop_map(Step::ReadDir),
        1 => path().prop_map(Step::SyncDir),
    ]
}

/// Results as text: values, or the kind of error.
fn shown<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// A checksum of bytes, so that logs stay short.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |sum, &b| sum.wrapping_mul(31).wrapping_add(b.into()))
}

/// A file and whether its I/O is direct.
type Open<E> = Option<(<E as Fs>::File, bool)>;

async fn perform<E: Env>(env: E, steps: Vec<Step>) -> Vec<String> {
    let mut slots: [Open<E>; SLOTS] = std::array::from_fn(|_| None);
    let mut log = Vec::new();
    for step in steps {
        log.push(one(&env, &mut slots, &step).await);
    }
    log
}

async fn one<E: Env>(env: &E, slots: &mut [Open<E>], step: &Step) -> String {
    match *step {
        Step::Open { slot, path, options } => match env.open(path, options).await {
            Ok(file) => {
                slots[slot] = Some((file, options.direct));
                "open".to_owned()
            }
            Err(error) => format!("{:?}", error.kind()),
        },
        Step::Close { slot } => {
            slots[slot] = None;
            "closed".to_owned()
        }
        Step::Rename { from, to } => shown(env.rename(from, to).await),
        Step::HardLink { from, to } => shown(env.hard_link(from, to).await),
        Step::RemoveFile(path) => shown(env.remove_file(path).await),
        Step::CreateDir(path) => shown(env.create_dir(path).await),
        Step::RemoveDir(path) => shown(env.remove_dir(path).await),
        Step::ReadDir(path) => shown(env.read_dir(path).await),
        Step::SyncDir(path) => shown(env.sync_dir(path).await),
        Step::Read { slot, .. }
        | Step::Write { slot, .. }
        | Step::SetLen { slot, .. }
        | Step::Len { slot }
        | Step::SyncRange { slot, .. }
        | Step::Allocate { slot, .. }
        | Step::Sync { slot } => match &slots[slot] {
            Some((file, true)) => on_file(file, &aligned(step)).await,
            Some((file, false)) => on_file(file, step).await,
            None => "not open".to_owned(),
        },
    }
}

/// Direct I/O is of whole blocks; what happens to other is left to the file system.
fn aligned(step: &Step) -> Step {
    const BLOCK: u64 = 4096;
    let mut step = step.clone();
    if let Step::Read { len, offset, .. } | Step::Write { len, offset, .. } = &mut step {
        *len -= *len % BLOCK as usize;
        *offset -= *offset % BLOCK;
    }
    step
}

async fn on_file<F: File>(file: &F, step: &Step) -> String {
    match *step {
        Step::Read { len, offset, .. } => {
            let mut buf = vec![0; len];
            let read = file.read_at(&mut buf, offset).await;
            shown(read.map(|read| (read, sum(&buf[..read]))))
        }
        Step::Write { len, offset, fill, .. } => {
            shown(file.write_at(&vec![fill; len], offset).await)
        }
        Step::SyncRange { offset, len, .. } => shown(file.sync_range(offset, len).await),
        Step::Allocate { offset, len, keep_size, .. } => {
            shown(file.allocate(offset, len, keep_size).await)
        }
        Step::SetLen { len, .. } => shown(file.set_len(len).await),
        Step::Len { .. } => shown(file.len().await),
        _ => shown(file.sync_all().await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn random_operations_give_the_same_results(steps in vec(step(), 1..60), seed: u64) {
        let mut sim = Sim::new(seed);
        let node = sim.add_node("node");
        let env = sim.boot(node);
        let simulated = sim.run(env, perform(env, steps.clone())).expect("no stop");
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let real =
            runtime.expect("a runtime").block_on(perform(OsEnv::new(folder.path()), steps.clone()));
        for (index, step) in steps.iter().enumerate() {
            prop_assert_eq!(&simulated[index], &real[index], "step {}: {:?}", index, step);
        }
    }
}

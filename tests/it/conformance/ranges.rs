//! More names for one file, calls about a range, and writes past the cache, at the end or until
//! they are durable. Where the target's file system or operating system does not know one of them,
//! the body says so and ends.

use std::io::ErrorKind::{self, *};

use seedbed::seam::{Env, File, Fs, OpenOptions};

super::on_both_worlds! {
    two_names_are_one_file
    hard_link_errors
    append_goes_to_the_end
    options_that_exclude_each_other_are_refused
    space_is_zeros
    space_can_keep_the_length
    allocating_nothing_is_refused
    a_reader_cannot_allocate
    a_range_is_written_back
    dsync_writes_are_as_others_to_readers
    direct_io_reads_what_was_written
    direct_and_cached_handles_see_one_file
}

const RWC: OpenOptions = OpenOptions::read_write_create();
/// Enough for devices with large blocks.
const BLOCK: usize = 4096;

/// What a call gave, unless the world does not know it.
fn known<T>(what: &str, result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == Unsupported => {
            eprintln!("skipped: {what}: {error}");
            None
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Opens with `O_DIRECT`. A file system that does not know it says EINVAL.
async fn open_direct<E: Env>(env: &E, path: &str) -> Option<E::File> {
    match env.open(path, RWC.direct(true)).await {
        Err(error) if error.kind() == InvalidInput => {
            eprintln!("skipped: this file system does not know O_DIRECT: {error}");
            None
        }
        result => known("O_DIRECT", result),
    }
}

async fn create<E: Env>(env: &E, path: &str, bytes: &[u8]) -> E::File {
    let file = env.open(path, RWC).await.expect("create");
    file.write_all_at(bytes, 0).await.expect("write");
    file
}

async fn bytes<F: File>(file: &F) -> Vec<u8> {
    let mut bytes = vec![0; file.len().await.expect("len") as usize];
    file.read_exact_at(&mut bytes, 0).await.expect("read");
    bytes
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.map(|_| "success").expect_err("an error").kind()
}

async fn two_names_are_one_file<E: Env>(env: E) {
    let file = create(&env, "a", b"one").await;
    env.create_dir("d").await.expect("mkdir");
    env.hard_link("a", "d/b").await.expect("link");
    file.write_all_at(b"two", 0).await.expect("write");
    assert_eq!(bytes(&env.open("d/b", RWC).await.expect("open")).await, b"two");
    env.rename("a", "d/b").await.expect("two names of one file: nothing happens");
    assert_eq!(env.read_dir("").await.expect("list").len(), 2);
    env.remove_file("a").await.expect("remove");
    assert_eq!(bytes(&env.open("d/b", RWC).await.expect("open")).await, b"two");
    env.sync_dir("d").await.expect("sync_dir");
}

async fn hard_link_errors<E: Env>(env: E) {
    drop(create(&env, "a", b"").await);
    drop(create(&env, "b", b"").await);
    env.create_dir("d").await.expect("mkdir");
    assert_eq!(kind(env.hard_link("no", "c").await), NotFound);
    assert_eq!(kind(env.hard_link("a", "no/c").await), NotFound);
    assert_eq!(kind(env.hard_link("a", "b").await), AlreadyExists);
    assert_eq!(kind(env.hard_link("a", "a").await), AlreadyExists);
    assert_eq!(kind(env.hard_link("a", "b/c").await), NotADirectory);
    assert_eq!(kind(env.hard_link("d", "c").await), PermissionDenied);
    assert_eq!(kind(env.hard_link("d", "a").await), AlreadyExists);
}

async fn append_goes_to_the_end<E: Env>(env: E) {
    drop(create(&env, "a", b"one").await);
    let options = OpenOptions::reading().write(true).append(true);
    let Some(file) = known("O_APPEND", env.open("a", options).await) else { return };
    file.write_all_at(b"two", 0).await.expect("append");
    assert_eq!(bytes(&file).await, b"onetwo");
    file.set_len(1).await.expect("cut");
    file.write_all_at(b"!", 70_000).await.expect("append");
    assert_eq!(bytes(&file).await, b"o!");
}

async fn options_that_exclude_each_other_are_refused<E: Env>(env: E) {
    for options in [OpenOptions::reading().append(true), RWC.append(true).truncate(true)] {
        assert_eq!(kind(env.open("a", options).await), InvalidInput, "{options:?}");
    }
}

async fn space_is_zeros<E: Env>(env: E) {
    let file = create(&env, "a", b"x").await;
    if known("allocate", file.allocate(3, 5, false).await).is_none() {
        return;
    }
    assert_eq!(bytes(&file).await, b"x\0\0\0\0\0\0\0");
    file.allocate(0, 2, false).await.expect("what is there stays");
    assert_eq!(bytes(&file).await, b"x\0\0\0\0\0\0\0");
    file.write_all_at(b"y", 4).await.expect("write");
    file.sync_all().await.expect("sync");
    assert_eq!(bytes(&file).await, b"x\0\0\0y\0\0\0");
}

async fn space_can_keep_the_length<E: Env>(env: E) {
    let file = create(&env, "a", b"x").await;
    if known("allocate", file.allocate(0, 20_000, true).await).is_none() {
        return;
    }
    assert_eq!(bytes(&file).await, b"x");
    file.write_all_at(b"y", 2).await.expect("write");
    assert_eq!(bytes(&file).await, b"x\0y");
}

async fn allocating_nothing_is_refused<E: Env>(env: E) {
    let file = create(&env, "a", b"x").await;
    if known("allocate", file.allocate(0, 1, false).await).is_some() {
        assert_eq!(kind(file.allocate(0, 0, false).await), InvalidInput);
        assert_eq!(kind(file.allocate(1 << 63, 1, false).await), InvalidInput);
    }
}

async fn a_reader_cannot_allocate<E: Env>(env: E) {
    drop(create(&env, "a", b"x").await);
    let reader = env.open("a", OpenOptions::reading()).await.expect("open");
    let error = reader.allocate(0, 1, false).await.expect_err("no write access");
    let is_bad_handle = error.raw_os_error() == Some(seedbed::disk::os_code::EBADF);
    assert!(is_bad_handle || error.kind() == Unsupported, "{error}");
}

async fn a_range_is_written_back<E: Env>(env: E) {
    let file = create(&env, "a", &[b'x'; 9000]).await;
    if known("sync_range", file.sync_range(0, 4096).await).is_none() {
        return;
    }
    file.sync_range(0, 0).await.expect("to the end");
    file.sync_range(50_000, 1).await.expect("beyond the end");
    assert_eq!(kind(file.sync_range(1 << 63, 1).await), InvalidInput);
    let reader = env.open("a", OpenOptions::reading()).await.expect("open");
    reader.sync_range(0, 0).await.expect("by a reader");
    assert_eq!(bytes(&file).await, [b'x'; 9000]);
}

async fn dsync_writes_are_as_others_to_readers<E: Env>(env: E) {
    let Some(file) = known("O_DSYNC", env.open("a", RWC.dsync(true)).await) else { return };
    file.write_all_at(b"hello", 3).await.expect("write");
    assert_eq!(bytes(&file).await, b"\0\0\0hello");
    let both = OpenOptions::reading().write(true).dsync(true).append(true);
    let more = env.open("a", both).await.expect("open");
    more.write_all_at(b"!", 0).await.expect("append");
    assert_eq!(bytes(&file).await, b"\0\0\0hello!");
}

async fn direct_io_reads_what_was_written<E: Env>(env: E) {
    let Some(file) = open_direct(&env, "a").await else { return };
    file.write_all_at(&[b'x'; 2 * BLOCK], 0).await.expect("write");
    file.write_all_at(&[b'y'; BLOCK], 3 * BLOCK as u64).await.expect("beyond the end");
    let mut buf = vec![b'?'; 5 * BLOCK];
    assert_eq!(file.read_at(&mut buf, 0).await.expect("read"), 4 * BLOCK);
    let part = |n: usize| buf[n * BLOCK];
    assert_eq!([0, 1, 2, 3, 4].map(part), [b'x', b'x', 0, b'y', b'?']);
    // Memory may lie anywhere.
    let read = file.read_at(&mut buf[1..=BLOCK], 3 * BLOCK as u64).await.expect("read");
    assert_eq!((read, buf[0], buf[1], buf[BLOCK]), (BLOCK, b'x', b'y', b'y'));
    assert_eq!(file.write_at(&[], 0).await.expect("nothing"), 0);
}

async fn direct_and_cached_handles_see_one_file<E: Env>(env: E) {
    let cached = create(&env, "a", &[b'x'; BLOCK + 7]).await;
    let Some(direct) = open_direct(&env, "a").await else { return };
    let mut buf = vec![0; 2 * BLOCK];
    assert_eq!(direct.read_at(&mut buf, 0).await.expect("read"), BLOCK + 7);
    direct.write_all_at(&[b'y'; BLOCK], 0).await.expect("write");
    cached.write_all_at(b"z", 1).await.expect("write");
    assert_eq!(bytes(&cached).await[..3], *b"yzy");
    assert_eq!(direct.read_at(&mut buf[..BLOCK], 0).await.expect("read"), BLOCK);
    assert_eq!(buf[..3], *b"yzy");
}

/// Some real file systems take what is not aligned, so this is about the simulated one.
#[test]
fn simulated_direct_io_is_of_whole_sectors() {
    super::on_sim(|env| async move {
        let file = env.open("a", RWC.direct(true)).await.expect("open");
        assert_eq!(kind(file.write_at(&[1; 512], 1).await), InvalidInput);
        assert_eq!(kind(file.write_at(&[1; 511], 0).await), InvalidInput);
        assert_eq!(kind(file.read_at(&mut [0; 512], 511).await), InvalidInput);
        assert_eq!(file.write_at(&[1; 512], 512).await.expect("aligned"), 512);
        let append = OpenOptions::new().write(true).append(true);
        let cached = env.open("a", append).await.expect("open");
        cached.write_all_at(b"x", 0).await.expect("append");
        let direct = env.open("a", append.direct(true)).await.expect("open");
        assert_eq!(kind(direct.write_at(&[1; 512], 0).await), InvalidInput, "the end is not");
    });
}

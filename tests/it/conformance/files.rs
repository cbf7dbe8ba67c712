//! Files, directories and their errors.

use std::io::ErrorKind::{self, *};

use seedbed::seam::{Env, File, FileKind, OpenOptions};

super::on_both_worlds! {
    a_missing_file_is_not_found
    create_new_refuses_what_exists
    options_that_make_no_sense_are_refused
    reading_stops_at_the_end
    a_write_beyond_the_end_leaves_zeros
    set_len_cuts_and_extends_with_zeros
    truncate_empties
    handles_keep_to_their_access
    two_handles_see_one_file
    rename_replaces_and_moves
    rename_errors
    a_removed_file_lives_on_in_its_handle
    directories_are_listed_in_name_order
    directory_errors
    a_file_is_not_a_directory
    syncs_succeed_on_what_exists
    unpolled_futures_do_nothing
}

const RWC: OpenOptions = OpenOptions::read_write_create();

async fn create<E: Env>(env: &E, path: &str, bytes: &[u8]) -> E::File {
    let file = env.open(path, RWC).await.expect("create");
    file.write_all_at(bytes, 0).await.expect("write");
    file
}

async fn text<F: File>(file: &F) -> String {
    let mut bytes = vec![0; file.len().await.expect("len") as usize];
    file.read_exact_at(&mut bytes, 0).await.expect("read");
    String::from_utf8(bytes).expect("text").replace('\0', "0")
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.map(|_| "success").expect_err("an error").kind()
}

async fn a_missing_file_is_not_found<E: Env>(env: E) {
    assert_eq!(kind(env.open("a", OpenOptions::reading()).await), NotFound);
    assert_eq!(kind(env.open("a", OpenOptions::new().write(true)).await), NotFound);
    assert_eq!(kind(env.open("no/a", RWC).await), NotFound);
    assert_eq!(kind(env.remove_file("a").await), NotFound);
    assert_eq!(kind(env.read_dir("a").await), NotFound);
    assert_eq!(kind(env.sync_dir("a").await), NotFound);
}

async fn create_new_refuses_what_exists<E: Env>(env: E) {
    let new = OpenOptions::new().write(true).create_new(true);
    drop(env.open("a", new).await.expect("new"));
    assert_eq!(kind(env.open("a", new).await), AlreadyExists);
    env.open("a", RWC).await.expect("create takes what is there");
}

async fn options_that_make_no_sense_are_refused<E: Env>(env: E) {
    let read = OpenOptions::reading();
    for options in [OpenOptions::new(), read.create(true), read.truncate(true)] {
        assert_eq!(kind(env.open("a", options).await), InvalidInput, "{options:?}");
    }
    assert!(env.read_dir("").await.expect("list").is_empty(), "and nothing is created");
}

async fn reading_stops_at_the_end<E: Env>(env: E) {
    let file = create(&env, "a", b"hello").await;
    let mut buf = [0; 8];
    assert_eq!(file.read_at(&mut buf, 0).await.expect("read"), 5);
    assert_eq!(file.read_at(&mut buf, 3).await.expect("read"), 2);
    assert_eq!(file.read_at(&mut buf, 5).await.expect("read"), 0);
    assert_eq!(file.read_at(&mut buf, 500).await.expect("read"), 0);
    assert_eq!(file.read_at(&mut [], 0).await.expect("read"), 0);
    assert_eq!(kind(file.read_exact_at(&mut buf, 0).await), UnexpectedEof);
}

async fn a_write_beyond_the_end_leaves_zeros<E: Env>(env: E) {
    let file = create(&env, "a", b"x").await;
    file.write_all_at(b"y", 3).await.expect("write");
    assert_eq!(text(&file).await, "x00y");
    file.write_all_at(b"z", 10_000).await.expect("write");
    assert_eq!(file.len().await.expect("len"), 10_001);
    assert_eq!(file.write_at(&[], 20_000).await.expect("nothing"), 0);
    assert_eq!(file.len().await.expect("len"), 10_001, "an empty write does not grow a file");
}

async fn set_len_cuts_and_extends_with_zeros<E: Env>(env: E) {
    let file = create(&env, "a", b"hello").await;
    file.set_len(2).await.expect("cut");
    assert_eq!(text(&file).await, "he");
    file.set_len(4).await.expect("extend");
    assert_eq!(text(&file).await, "he00", "what was cut off does not come back");
}

async fn truncate_empties<E: Env>(env: E) {
    drop(create(&env, "a", b"hello").await);
    let file = env.open("a", RWC.truncate(true)).await.expect("open");
    assert!(file.is_empty().await.expect("len"));
}

async fn handles_keep_to_their_access<E: Env>(env: E) {
    drop(create(&env, "a", b"x").await);
    let reader = env.open("a", OpenOptions::reading()).await.expect("open");
    let writer = env.open("a", OpenOptions::new().write(true)).await.expect("open");
    let refused = reader.write_at(b"y", 0).await.expect_err("no write access");
    assert_eq!(refused.raw_os_error(), Some(seedbed::disk::os_code::EBADF));
    let refused = writer.read_at(&mut [0], 0).await.expect_err("no read access");
    assert_eq!(refused.raw_os_error(), Some(seedbed::disk::os_code::EBADF));
    assert_eq!(kind(reader.set_len(0).await), InvalidInput);
    assert_eq!(text(&reader).await, "x");
}

async fn two_handles_see_one_file<E: Env>(env: E) {
    let one = create(&env, "a", b"x").await;
    let two = env.open("a", OpenOptions::reading()).await.expect("open");
    one.write_all_at(b"yz", 0).await.expect("write");
    assert_eq!(text(&two).await, "yz");
}

async fn rename_replaces_and_moves<E: Env>(env: E) {
    let moved = create(&env, "a", b"new").await;
    let replaced = create(&env, "b", b"old").await;
    env.rename("a", "b").await.expect("rename");
    assert_eq!(text(&env.open("b", RWC).await.expect("open")).await, "new");
    assert_eq!(kind(env.open("a", OpenOptions::reading()).await), NotFound);
    assert_eq!((text(&moved).await, text(&replaced).await), ("new".into(), "old".into()));
    env.rename("b", "b").await.expect("a rename onto itself does nothing");
    env.create_dir("d").await.expect("mkdir");
    env.rename("b", "d/c").await.expect("rename");
    env.rename("d", "e").await.expect("rename");
    assert_eq!(text(&env.open("e/c", RWC).await.expect("open")).await, "new");
}

async fn rename_errors<E: Env>(env: E) {
    drop(create(&env, "a", b"").await);
    for dir in ["d", "empty", "full"] {
        env.create_dir(dir).await.expect("mkdir");
    }
    drop(create(&env, "full/f", b"").await);
    assert_eq!(kind(env.rename("no", "b").await), NotFound);
    assert_eq!(kind(env.rename("a", "no/b").await), NotFound);
    assert_eq!(kind(env.rename("a", "d").await), IsADirectory);
    assert_eq!(kind(env.rename("d", "a").await), NotADirectory);
    assert_eq!(kind(env.rename("d", "full").await), DirectoryNotEmpty);
    assert_eq!(kind(env.rename("d", "d/d").await), InvalidInput);
    assert_eq!(kind(env.rename("full/f", "full").await), DirectoryNotEmpty);
    env.rename("d", "d").await.expect("a directory onto itself");
    env.rename("d", "empty").await.expect("an empty directory is replaced by a directory");
}

async fn a_removed_file_lives_on_in_its_handle<E: Env>(env: E) {
    let old = create(&env, "a", b"old").await;
    env.remove_file("a").await.expect("remove");
    let new = create(&env, "a", b"new").await;
    old.write_all_at(b"still", 0).await.expect("write");
    assert_eq!((text(&old).await, text(&new).await), ("still".into(), "new".into()));
}

async fn directories_are_listed_in_name_order<E: Env>(env: E) {
    for name in ["b", "a", "c", "B", "a0"] {
        drop(create(&env, name, b"").await);
    }
    env.create_dir("aa").await.expect("mkdir");
    env.remove_file("c").await.expect("remove");
    let names = env.read_dir("").await.expect("list");
    let names: Vec<_> = names.iter().map(|e| (e.name.as_str(), e.kind)).collect();
    let file = FileKind::File;
    assert_eq!(names, [("B", file), ("a", file), ("a0", file), ("aa", FileKind::Dir), ("b", file)]);
}

async fn directory_errors<E: Env>(env: E) {
    env.create_dir("d").await.expect("mkdir");
    drop(create(&env, "d/f", b"").await);
    assert_eq!(kind(env.create_dir("d").await), AlreadyExists);
    assert_eq!(kind(env.create_dir("d/f").await), AlreadyExists);
    assert_eq!(kind(env.create_dir("no/d").await), NotFound);
    assert_eq!(kind(env.remove_dir("d").await), DirectoryNotEmpty);
    assert_eq!(kind(env.remove_dir("d/f").await), NotADirectory);
    assert_eq!(kind(env.remove_dir("no").await), NotFound);
    env.remove_file("d/f").await.expect("remove");
    env.remove_dir("d").await.expect("rmdir");
    assert_eq!(kind(env.read_dir("d").await), NotFound);
}

async fn a_file_is_not_a_directory<E: Env>(env: E) {
    env.create_dir("d").await.expect("mkdir");
    drop(create(&env, "f", b"").await);
    assert_eq!(kind(env.open("d", OpenOptions::reading()).await), IsADirectory);
    assert_eq!(kind(env.open("d", RWC).await), IsADirectory);
    assert_eq!(kind(env.open("f/x", RWC).await), NotADirectory);
    assert_eq!(kind(env.read_dir("f").await), NotADirectory);
    assert_eq!(kind(env.sync_dir("f").await), NotADirectory);
    assert_eq!(kind(env.remove_file("d").await), IsADirectory);
}

async fn syncs_succeed_on_what_exists<E: Env>(env: E) {
    let file = create(&env, "a", b"x").await;
    file.sync_data().await.expect("sync_data");
    file.sync_all().await.expect("sync_all");
    env.sync_dir("").await.expect("sync_dir");
    env.sync_dir(".").await.expect("sync_dir of .");
    let reader = env.open("a", OpenOptions::reading()).await.expect("open");
    reader.sync_all().await.expect("a handle for reading may sync (fsync(2))");
}

async fn unpolled_futures_do_nothing<E: Env>(env: E) {
    let file = create(&env, "a", b"x").await;
    drop(file.write_at(b"y", 0));
    drop(env.remove_file("a"));
    drop(env.create_dir("d"));
    assert_eq!(text(&file).await, "x");
    assert_eq!(env.read_dir("").await.expect("list").len(), 1);
}

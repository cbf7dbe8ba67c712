//! A server on the operating system's network that meets strangers, and folders that are not its.

use std::net::SocketAddr;
use std::sync::Arc;

use seedbed_env::{Net, OsEnv, OsStream, Spawn, StreamWrite};
use tempfile::TempDir;

use super::super::super::error::Error;
use super::super::super::participant::Vote;
use super::super::Options;
use super::super::kernel::TRANSACTION_LEN_MAX;
use super::super::server::Server;
use super::super::wire::{Answer, FrameReader, GIDS_MAX, Request, VERSION};
use super::*;
use crate::atomic_commit::Store;

struct Line {
    stream: OsStream,
    frames: FrameReader,
    number: u32,
}

impl Line {
    async fn to(server: &Server<OsEnv>, env: &OsEnv) -> Self {
        let stream = env.connect(server.local_addr()).await.unwrap();
        Self { stream, frames: FrameReader::default(), number: 0 }
    }

    async fn greeted(server: &Server<OsEnv>, env: &OsEnv) -> Self {
        let mut line = Self::to(server, env).await;
        assert_eq!(line.ask(&hello(VERSION, "w", 1, &narrow())).await, Some(Answer::Welcome));
        line
    }

    async fn send(&mut self, request: &Request) {
        self.number += 1;
        let mut out = Vec::new();
        request.put(&mut out, self.number);
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next answer; `None` if the server has hung up.
    async fn answer(&mut self) -> Option<Answer> {
        let frame = self.frames.next(&mut self.stream).await.ok().flatten()?;
        assert_eq!(frame.request, self.number);
        Some(Answer::parse(frame).unwrap())
    }

    async fn ask(&mut self, request: &Request) -> Option<Answer> {
        self.send(request).await;
        self.answer().await
    }

    async fn refused(&mut self, request: &Request) -> String {
        match self.ask(request).await {
            Some(Answer::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn hello(version: u32, name: &str, incarnation: u64, schema: &Schema) -> Request {
    let (writer, schema) = (name.to_owned(), schema.fingerprint());
    let (identity, mode) = (7, WriteMode::Insert);
    Request::Hello { version, writer, identity, incarnation, schema, mode }
}

const ANYWHERE: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0));

async fn server() -> (TempDir, OsEnv, Server<OsEnv>) {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let options = Options::default();
    let server = Server::open(env.clone(), "p", ANYWHERE, narrow(), options).await.unwrap();
    drop(env.spawn(server.clone().serve()));
    (dir, env, server)
}

#[tokio::test]
async fn a_hello_that_is_not_right_is_refused_with_a_reason_and_hung_up_on() {
    let (_dir, env, server) = server().await;
    let wrong = [
        (hello(VERSION + 1, "w", 1, &narrow()), "version 2 of the protocol; this is 1"),
        (hello(VERSION, "w", 1, &wide()), "the sink's table is not the one here, which is narrow"),
        (hello(VERSION, "Not A Name", 1, &narrow()), "a sink called \"Not A Name\""),
        (Request::Ping, "a hello comes first"),
        (Request::List, "a hello comes first"),
        (Request::Write(vec![1]), "a hello comes first"),
        (Request::Prepare { gid: gid(1, 1), finished: gid(1, 1) }, "a hello comes first"),
    ];
    for (request, reason) in wrong {
        let mut line = Line::to(&server, &env).await;
        let why = line.refused(&request).await;
        assert!(why.contains(reason), "{why}");
        assert_eq!(line.answer().await, None);
    }
    let mut later = Line::to(&server, &env).await;
    assert_eq!(later.ask(&hello(VERSION, "w", 5, &narrow())).await, Some(Answer::Welcome));
    let mut earlier = Line::to(&server, &env).await;
    let answer = earlier.ask(&hello(VERSION, "w", 4, &narrow())).await;
    assert_eq!(answer, Some(Answer::Fenced { by: 5 }));
    for incarnation in [4, 5, 6] {
        let mut stranger = Line::to(&server, &env).await;
        let (version, writer, identity) = (VERSION, "w".to_owned(), 8);
        let (schema, mode) = (narrow().fingerprint(), WriteMode::Insert);
        let hello = Request::Hello { version, writer, identity, incarnation, schema, mode };
        let why = stranger.refused(&hello).await;
        assert!(why.contains("the name w belongs to a sink with another folder"), "{why}");
    }
    assert_eq!(later.ask(&Request::Ping).await, Some(Answer::Pong), "it is let be");
    assert_eq!(earlier.answer().await, None);
}

#[tokio::test]
async fn strangers_are_hung_up_on_and_the_server_goes_on() {
    let (_dir, env, server) = server().await;
    let mut wrong_sum = Vec::new();
    Request::Ping.put(&mut wrong_sum, 1);
    wrong_sum[5] ^= 1;
    let huge = [&u32::MAX.to_le_bytes()[..], &[0; 60]].concat();
    let strangers: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &wrong_sum,
        &huge,
        b"\x05\0\0\0\0\0\0\0abcde",
    ];
    for bytes in strangers {
        let mut line = Line::to(&server, &env).await;
        line.stream.write_all(bytes).await.unwrap();
        assert_eq!(line.answer().await, None);
    }
    // One that hangs up in the middle of a frame.
    let mut line = Line::to(&server, &env).await;
    line.stream.write_all(&wrong_sum[..9]).await.unwrap();
    drop(line);
    let mut line = Line::greeted(&server, &env).await;
    assert_eq!(line.ask(&Request::Ping).await, Some(Answer::Pong));
}

#[tokio::test]
async fn a_second_hello_and_too_many_names_are_refused_and_change_nothing() {
    let (_dir, env, server) = server().await;
    let mut line = Line::greeted(&server, &env).await;
    let why = line.refused(&hello(VERSION, "other", 9, &narrow())).await;
    assert_eq!(why, "a second hello");
    let rows = rows_of(&narrow(), &[&narrow_row(1, None, None)]);
    line.send(&Request::Write(rows.bytes().to_vec())).await;
    let prepare = Request::Prepare { gid: gid(1, 1), finished: gid(1, 1) };
    assert_eq!(line.ask(&prepare).await, Some(Answer::Vote(Vote::Yes)));
    // A request as long as this one is not made by ours.
    for kind in [5, 6, 9] {
        let mut body = vec![kind, 77, 0, 0, 0];
        (0..=GIDS_MAX)
            .for_each(|_| body.extend(transaction_key(0, &writer("w"), gid(1, 1)).split_off(3)));
        let head = [(body.len() as u32).to_le_bytes(), crc32c::crc32c(&body).to_le_bytes()];
        line.stream.write_all(&[&head.concat()[..], &body].concat()).await.unwrap();
        line.number = 77;
        let why = format!("{} transactions in one request", GIDS_MAX + 1);
        assert_eq!(line.answer().await, Some(Answer::Refused(why)));
    }
    assert_eq!(server.prepared(&writer("w")), [gid(1, 1)]);
    // As many as may be, all of them the same one.
    let gids = vec![gid(1, 1); GIDS_MAX];
    let decide = Request::Decide { decision: Decision::Commit, gids };
    let done = Answer::Outcomes(vec![Outcome::Done; GIDS_MAX]);
    assert_eq!(line.ask(&decide).await, Some(done));
    server.close().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_too_long_or_not_rows_is_voted_down_and_the_next_one_is_not() {
    let (_dir, env, server) = server().await;
    let mut line = Line::greeted(&server, &env).await;
    let vote = |answer: Option<Answer>| match answer {
        Some(Answer::Vote(Vote::No(No::Unable { reason }))) => reason,
        other => panic!("{other:?}"),
    };
    let text = "x".repeat((1 << 20) - 100);
    let row = |id| rows_of(&narrow(), &[&narrow_row(id, Some(&text), None)]).bytes().to_vec();
    for id in 0..=(TRANSACTION_LEN_MAX / row(0).len()) as i64 {
        line.send(&Request::Write(row(id))).await;
    }
    let prepare = |number| Request::Prepare { gid: gid(1, number), finished: gid(1, 1) };
    let reason = vote(line.ask(&prepare(1)).await);
    assert_eq!(reason, format!("more than {TRANSACTION_LEN_MAX} bytes of rows in a transaction"));
    line.send(&Request::Write(row(1)[..100].to_vec())).await;
    let reason = vote(line.ask(&prepare(2)).await);
    assert_eq!(reason, "row 0 is cut off");
    line.send(&Request::Write(vec![1, 0, 0, 0, 9])).await;
    let reason = vote(line.ask(&Request::CommitOpen).await);
    assert_eq!(reason, "row 0: column 0: cut off, or of an unknown kind");
    line.send(&Request::Write(row(1))).await;
    assert_eq!(line.ask(&prepare(3)).await, Some(Answer::Vote(Vote::Yes)));
    assert_eq!(server.prepared(&writer("w")), [gid(1, 3)]);
    server.close().await.unwrap();
}

/// A key and a value.
type Entry<'a> = (&'a [u8], &'a [u8]);

/// A folder's files and their bytes.
fn content(dir: &std::path::Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> =
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_folder_that_is_not_this_tables_is_refused_and_stays_as_it_is() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let mark = |version: u32, schema: &Schema| {
        [&version.to_le_bytes()[..], &schema.fingerprint().to_le_bytes()].concat()
    };
    let (ours, table, later) = (mark(1, &narrow()), mark(1, &wide()), mark(2, &narrow()));
    let transaction = transaction_key(b'p', &writer("w"), gid(1, 1));
    let kind = transaction_key(b'c', &writer("w"), gid(1, 1));
    let foreign: [(&str, Vec<Entry<'_>>, &str); 7] = [
        ("table", vec![(b"m", &table)], "holds another table than narrow"),
        ("version", vec![(b"m", &later)], "another version"),
        ("other", vec![(b"key", b"value")], "a store of something else"),
        ("sink", vec![(b"m", b"1 sink w p")], "another version"),
        ("writer", vec![(b"m", &ours), (b"wW", &[0; 24])], "a writer with another name"),
        ("mode", vec![(b"m", &ours), (&transaction, b"\x09")], "of another kind"),
        ("decision", vec![(b"m", &ours), (&kind, b"z")], "a decision of another kind"),
    ];
    for (folder, entries, reason) in foreign {
        let options = Options::default();
        let store = Store::open(env.clone(), folder, options.store.clone()).await.unwrap();
        for (key, value) in entries {
            store.commit(Batch::putting(key, value)).await.unwrap();
        }
        store.close().await.unwrap();
        // Opening cuts off the zeros that were written ahead.
        let store = Store::open(env.clone(), folder, options.store.clone()).await.unwrap();
        store.close().await.unwrap();
        let before = content(&dir.path().join(folder));
        for _ in 0..2 {
            let schema: Arc<Schema> = narrow();
            let opened = Server::open(env.clone(), folder, ANYWHERE, schema, options.clone()).await;
            let error = opened.map(drop).unwrap_err();
            assert!(matches!(&error, Error::Foreign { folder: at, .. } if at == folder));
            assert!(error.to_string().contains(reason), "{error}");
            assert!(content(&dir.path().join(folder)) == before, "{folder} was changed");
        }
    }
}

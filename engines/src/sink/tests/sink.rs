//! The whole sink with participants that say what a test wants. Time passes when nothing else can
//! be done.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedbed_env::OsEnv;
use tempfile::TempDir;

use super::super::decisions::Checkpoint;
use super::super::engine::Sink;
use super::super::error::Error;
use super::super::event::{Event, Observer};
use super::super::options::{OnRejected, Options};
use super::super::participant::{Decision, Gid, No, Outcome, ParticipantError, Writer};
use super::super::row::Value;
use super::fake::{Ask, Fake, Reply};
use super::narrow;

type Fakes = Sink<OsEnv, Fake>;

/// A folder, and what sinks in it told.
struct Desk {
    _dir: TempDir,
    env: OsEnv,
    events: Arc<Mutex<Vec<Event>>>,
    options: Options,
}

impl Desk {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let env = OsEnv::new(dir.path());
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let mut options = Options::default();
        (options.batch_delay, options.checkpoint_delay) = (Duration::ZERO, Duration::ZERO);
        let told = Arc::clone(&events);
        options.observer = Observer::new(move |event| told.lock().unwrap().push(event));
        Self { _dir: dir, env, events, options }
    }

    async fn open(&self, fakes: &[&Fake]) -> Fakes {
        self.try_open(fakes).await.unwrap()
    }

    async fn try_open(&self, fakes: &[&Fake]) -> Result<Fakes, Error> {
        let (env, writer) = (self.env.clone(), Writer::new("test").unwrap());
        let fakes = fakes.iter().map(|fake| (*fake).clone()).collect();
        Sink::open(env, "sink", writer, narrow(), fakes, self.options.clone()).await
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is(event)).count()
    }
}

async fn push(sink: &Fakes, offset: u64) -> Result<(), Error> {
    sink.push(offset, &[Value::Int(offset as i64), Value::Null, Value::Null]).await
}

/// With time that passes when nothing else can be done.
fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(test);
}

fn lost() -> Reply {
    Reply::Fail(ParticipantError::Lost("as the test wants".to_owned()))
}

fn sorted(fake: &Fake) -> Vec<i64> {
    let mut all = fake.inner().committed.clone();
    all.sort_unstable();
    all
}

#[test]
fn damage_is_reported_once_and_remembered_by_all_later_starts() {
    let decision = Decision::Abort;
    for outcome in [Outcome::Missing, Outcome::Heuristic(decision)] {
        run(async {
            let (desk, fake) = (Desk::new(), Fake::new("p"));
            // The answer to the first is lost, and it cannot be told the first time either.
            fake.next(Ask::Commit, [lost(), Reply::Outcome(outcome), Reply::Outcome(outcome)]);
            fake.next(Ask::Forget, [lost()]);
            let sink = desk.open(&[&fake]).await;
            push(&sink, 0).await.unwrap();
            sink.checkpoint().await.unwrap();
            sink.settled().await.unwrap();
            let damage = vec![(Gid { incarnation: 1, number: 1 }, 0)];
            assert_eq!(sink.damage(), damage);
            assert_eq!((fake.count(Ask::Commit), fake.count(Ask::Forget)), (3, 2));
            let earlier = |wanted: bool| {
                desk.count(
                    |event| matches!(event, Event::Damaged { earlier, .. } if *earlier == wanted),
                )
            };
            assert_eq!((earlier(false), earlier(true)), (1, 0));
            push(&sink, 1).await.unwrap();
            assert_eq!(sink.close().await.unwrap().offset, 2, "it goes on");
            for times in 1..3 {
                let sink = desk.open(&[&fake]).await;
                assert_eq!(sink.damage(), damage);
                assert_eq!((earlier(false), earlier(true)), (1, times));
                sink.close().await.unwrap();
            }
        });
    }
}

#[test]
fn a_participant_that_fences_or_refuses_stops_the_sink_wherever_it_says_so() {
    for ask in [Ask::Connect, Ask::Prepare, Ask::Commit, Ask::List] {
        for fenced in [true, false] {
            run(async {
                let (desk, fake) = (Desk::new(), Fake::new("p"));
                let error = match fenced {
                    true => ParticipantError::Fenced { by: 9 },
                    false => ParticipantError::Refused("not you".to_owned()),
                };
                fake.always(ask, Reply::Fail(error));
                let sink = desk.open(&[&fake]).await;
                let pushed = async {
                    push(&sink, 0).await?;
                    sink.checkpoint().await?;
                    sink.settled().await
                };
                let stopped = pushed.await.unwrap_err();
                check_stopped(&stopped, fenced);
                check_stopped(&push(&sink, 1).await.unwrap_err(), fenced);
                check_stopped(&sink.stopped().unwrap(), fenced);
                for _ in 0..2 {
                    check_stopped(&sink.close().await.unwrap_err(), fenced);
                }
            });
        }
    }
}

fn check_stopped(error: &Error, fenced: bool) {
    match error {
        Error::Fenced => assert!(fenced),
        Error::Refused { participant, reason } => {
            assert_eq!((participant.as_str(), reason.as_str(), fenced), ("p", "not you", false));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_sink_that_was_stopped_with_nothing_to_do_does_not_close_as_if_all_were_well() {
    run(async {
        let (desk, fake) = (Desk::new(), Fake::new("p"));
        let sink = desk.open(&[&fake]).await;
        push(&sink, 0).await.unwrap();
        sink.checkpoint().await.unwrap();
        sink.settled().await.unwrap();
        fake.always(Ask::List, Reply::Fail(ParticipantError::Fenced { by: 2 }));
        while sink.stopped().is_none() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(matches!(sink.close().await, Err(Error::Fenced)));
        let desk = Desk::new();
        let sink = desk.open(&[&Fake::new("p")]).await;
        sink.close().await.unwrap();
        assert!(matches!(sink.close().await, Err(Error::Closed)));
        assert!(matches!(push(&sink, 0).await, Err(Error::Closed)));
    });
}

#[test]
fn what_may_pass_is_tried_again_under_a_new_name() {
    run(async {
        let (desk, fake, other) = (Desk::new(), Fake::new("p"), Fake::new("q"));
        let unable = || Reply::Vote(No::Unable { reason: "full".to_owned() });
        fake.next(Ask::Prepare, [Reply::Vote(No::Conflict), unable(), lost(), unable()]);
        let sink = desk.open(&[&fake, &other]).await;
        let rows: Vec<_> = (0..50).map(|id| [Value::Int(id), Value::Null, Value::Null]).collect();
        sink.push_rows(0, &rows).await.unwrap();
        assert_eq!(sink.checkpoint().await.unwrap().offset, 50);
        sink.settled().await.unwrap();
        let tried: Vec<Gid> = fake
            .inner()
            .asked
            .iter()
            .filter(|(ask, _)| *ask == Ask::Prepare)
            .map(|(_, gids)| gids[0])
            .collect();
        assert_eq!(tried, [1, 2, 3, 4, 5].map(|number| Gid { incarnation: 1, number }));
        // The one that was lost may be prepared there. Who has said no is not told.
        let aborted: Vec<_> = fake
            .inner()
            .asked
            .iter()
            .filter(|(ask, _)| *ask == Ask::Abort)
            .map(|(_, gids)| gids[0].number)
            .collect();
        assert_eq!(aborted, [3]);
        assert!(other.inner().prepared.is_empty() && fake.inner().prepared.is_empty());
        let all = [sorted(&fake), sorted(&other)].concat();
        assert_eq!(all.len(), 50);
        sink.close().await.unwrap();
    });
}

/// Two participants, each full of what waits for one that the other has no place for.
async fn full_both(desk: &Desk) -> (Fakes, Fake, Fake) {
    let (p, q) = (Fake::new("p"), Fake::new("q"));
    p.inner().places = Some(2);
    q.inner().places = Some(2);
    // The first batch's votes come when later ones have taken all places.
    p.next(Ask::Prepare, [Reply::Vote(No::Conflict)]);
    q.next(Ask::Prepare, [Reply::Vote(No::Conflict)]);
    let sink = desk.open(&[&p, &q]).await;
    for round in 0..10 {
        let row = |nth: i64| [Value::Int(round * 20 + nth), Value::Null, Value::Null];
        let rows: Vec<_> = (0..20).map(row).collect();
        sink.push_rows(round as u64 * 20, &rows).await.unwrap();
    }
    (sink, p, q)
}

#[test]
fn where_there_are_fewer_places_than_batches_later_ones_make_room() {
    run(async {
        let mut desk = Desk::new();
        desk.options.batch_rows = 20;
        let (sink, p, q) = full_both(&desk).await;
        assert_eq!(sink.checkpoint().await.unwrap().offset, 200);
        sink.settled().await.unwrap();
        assert!(desk.count(|event| matches!(event, Event::GaveUp { .. })) > 0);
        let mut all = [sorted(&p), sorted(&q)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<i64>>());
        assert!(p.inner().prepared.is_empty() && q.inner().prepared.is_empty());
        assert_eq!(sink.metrics().buffered_bytes, 0);
        sink.close().await.unwrap();
    });
}

#[test]
#[cfg(feature = "plants")]
fn without_that_they_would_stand_still() {
    run(async {
        let mut desk = Desk::new();
        desk.options.batch_rows = 20;
        desk.options.plant = Some(super::super::plant::Plant::KeepsItsPlace);
        let (sink, _p, _q) = full_both(&desk).await;
        let day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(day, sink.checkpoint()).await.is_err());
        assert!(sink.stopped().is_none());
    });
}

#[test]
fn an_orphan_is_aborted_and_what_is_under_way_is_not() {
    run(async {
        let (desk, fake) = (Desk::new(), Fake::new("p"));
        fake.always(Ask::Abort, lost());
        fake.next(Ask::Prepare, [Reply::Right]);
        let sink = desk.open(&[&fake]).await;
        // A commit that hangs: the transaction stays prepared, and is listed.
        fake.always(Ask::Commit, Reply::Hang);
        push(&sink, 0).await.unwrap();
        sink.checkpoint().await.unwrap();
        let orphan = Gid { incarnation: 0, number: 7 };
        fake.inner().prepared.insert(orphan, Default::default());
        let lists = fake.count(Ask::List);
        while fake.count(Ask::List) < lists + 3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        fake.go_on();
        sink.settled().await.unwrap();
        while fake.inner().prepared.contains_key(&orphan) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let aborted = |(ask, gids): &(Ask, Vec<Gid>)| *ask != Ask::Abort || gids[..] == [orphan];
        assert!(fake.inner().asked.iter().all(aborted));
        assert_eq!(sorted(&fake), [0]);
        sink.close().await.unwrap();
    });
}

#[test]
fn one_that_does_not_answer_commits_holds_up_neither_others_nor_the_source() {
    run(async {
        let (mut desk, fake, other) = (Desk::new(), Fake::new("p"), Fake::new("q"));
        desk.options.request_timeout = Duration::from_secs(1 << 30);
        desk.options.transactions_max = 3;
        desk.options.connections_max = 8;
        desk.options.buffer_bytes_max = 4000;
        let sink = desk.open(&[&fake, &other]).await;
        fake.always(Ask::Commit, Reply::Hang);
        let rows = |first: i64| {
            let row = move |nth| [Value::Int(first + nth), Value::Null, Value::Null];
            (0..20).map(row).collect::<Vec<_>>()
        };
        for round in 0..3 {
            sink.push_rows(20 * round, &rows(20 * round as i64)).await.unwrap();
            let offset = 20 * (round + 1);
            assert_eq!(sink.checkpoint().await.unwrap().offset, offset, "decided all the same");
        }
        while fake.count(Ask::Commit) < 3 || !other.inner().prepared.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(!sorted(&other).is_empty() && fake.inner().committed.is_empty());
        assert_eq!((sink.metrics().transactions, sink.metrics().buffered_bytes), (3, 0));
        // Now all places are taken: rows are still accepted until the buffer is full.
        let mut taken = 60;
        while tokio::time::timeout(Duration::from_secs(60), push(&sink, taken)).await.is_ok() {
            taken += 1;
        }
        let len = 4 + 9 + 1 + 1;
        assert_eq!((taken - 60) as usize, 4000 / len, "back-pressure, and only that");
        fake.go_on();
        push(&sink, taken).await.unwrap();
        assert_eq!(sink.close().await.unwrap().offset, taken + 1);
        let all = [sorted(&fake), sorted(&other)].concat();
        assert_eq!(all.len() as u64, taken + 1);
    });
}

#[test]
fn one_that_does_not_answer_prepare_is_given_up_after_its_time() {
    run(async {
        let (mut desk, fake) = (Desk::new(), Fake::new("p"));
        desk.options.request_timeout = Duration::from_secs(3);
        fake.next(Ask::Prepare, [Reply::Hang]);
        let sink = desk.open(&[&fake]).await;
        push(&sink, 0).await.unwrap();
        assert_eq!(sink.checkpoint().await.unwrap(), Checkpoint { number: 1, offset: 1 });
        assert_eq!(desk.count(|event| matches!(event, Event::GaveUp { .. })), 1);
        sink.close().await.unwrap();
        assert_eq!(sorted(&fake), [0]);
    });
}

#[test]
fn an_answer_with_too_few_outcomes_is_not_taken_for_done() {
    run(async {
        let (desk, fake) = (Desk::new(), Fake::new("p"));
        fake.next(Ask::Commit, [Reply::Silent]);
        let sink = desk.open(&[&fake]).await;
        push(&sink, 0).await.unwrap();
        sink.checkpoint().await.unwrap();
        let error = sink.settled().await.unwrap_err().to_string();
        assert_eq!(error, "participant p: it gives 0 outcomes of 1 transactions");
        drop(sink);
        let sink = desk.open(&[&fake]).await;
        sink.settled().await.unwrap();
        assert_eq!(sorted(&fake), [0], "the decision was not forgotten");
    });
}

#[test]
fn rejected_rows_are_left_out_one_by_one_or_stop_the_sink_by_their_offset() {
    let no = |row| Reply::Vote(No::Rejected { row, reason: "a rule".to_owned() });
    run(async {
        let (mut desk, fake) = (Desk::new(), Fake::new("p"));
        let rows: Vec<_> = (0..4).map(|id| [Value::Int(id), Value::Null, Value::Null]).collect();
        // Rows 1 and 3, in the places that they have then; and a batch of one row that goes.
        fake.next(Ask::Prepare, [no(1), no(2), Reply::Right, no(0)]);
        desk.options.on_rejected = OnRejected::LeaveOut;
        let sink = desk.open(&[&fake]).await;
        sink.push_rows(10, &rows).await.unwrap();
        assert_eq!(sink.checkpoint().await.unwrap().offset, 14);
        push(&sink, 20).await.unwrap();
        assert_eq!(sink.close().await.unwrap().offset, 21);
        assert_eq!((sorted(&fake), sink.metrics().rejected), (vec![0, 2], 3));
        assert_eq!(sink.metrics().buffered_bytes, 0);

        desk.options.on_rejected = OnRejected::Stop;
        fake.next(Ask::Prepare, [no(2)]);
        let sink = desk.open(&[&fake]).await;
        sink.push_rows(30, &rows).await.unwrap();
        let error = sink.checkpoint().await.unwrap_err();
        assert!(matches!(error, Error::Rejected { offset: 32, .. }), "{error}");
        // A row that was not there.
        fake.next(Ask::Prepare, [no(4)]);
        let sink = desk.open(&[&fake]).await;
        sink.push_rows(30, &rows).await.unwrap();
        let error = sink.checkpoint().await.unwrap_err().to_string();
        assert!(error.contains("it rejects row 4, which was not there"), "{error}");
    });
}

#[test]
fn offsets_go_up_and_the_last_one_is_refused() {
    run(async {
        let (desk, fake) = (Desk::new(), Fake::new("p"));
        let sink = desk.open(&[&fake]).await;
        push(&sink, 5).await.unwrap();
        let error = push(&sink, 5).await.unwrap_err();
        assert!(matches!(error, Error::Offset { offset: 5, last: 5 }), "{error}");
        let two = [[Value::Int(1), Value::Null, Value::Null]; 2];
        let error = sink.push_rows(u64::MAX - 1, &two).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert_eq!(sink.next_offset(), u64::MAX, "the one before it was taken");
        let error = push(&sink, u64::MAX).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert_eq!(sink.close().await.unwrap().offset, u64::MAX);
        assert_eq!(sorted(&fake).len(), 2);
    });
}

/// Sets an option.
type Set = fn(&mut Options);

#[test]
fn options_that_break_a_limit_are_named() {
    run(async {
        let fake = Fake::new("p");
        let wrong: [(&str, Set); 6] = [
            ("batch_rows", |options| options.batch_rows = 0),
            ("batch_bytes", |options| options.batch_bytes = (8 << 20) + 1),
            ("connections_max", |options| options.connections_max = 0),
            ("transactions_max", |options| options.transactions_max = 100_001),
            ("request_timeout", |options| options.request_timeout = Duration::ZERO),
            ("resolve_every", |options| options.resolve_every = Duration::ZERO),
        ];
        for (name, set) in wrong {
            let mut desk = Desk::new();
            set(&mut desk.options);
            let error = desk.try_open(&[&fake]).await.unwrap_err();
            assert!(
                matches!(&error, Error::Invalid { reason } if reason.contains(name)),
                "{error}"
            );
        }
        let error = Desk::new().try_open(&[]).await.unwrap_err().to_string();
        assert!(error.contains("the number of participants is 0"), "{error}");
    });
}

//! One transaction over two participants: every crash point of every role, with every message lost,
//! delayed or answered in vain, and the most and the least that a power loss can leave.
//!
//! Each run is told apart by a few decisions: at which operation a node crashes and whether that
//! has its effect, whether the process dies or the power goes, whether then all or nothing that was
//! not synced stays; and what becomes of one message. On a stream a message is *lost* if it never
//! arrives, and *delayed* if it arrives when its sender has given up waiting, or while it tries
//! again. Nothing on a stream is duplicated by the network. Its sender duplicates it: a request
//! whose answer is lost or late is made again on another connection, and was carried out before;
//! one that is late itself is carried out after its repetition.

use std::sync::Arc;

use seedbed::faults::Plan;
use seedbed::vary::{Crash, Variations, sparse};
use seedbed::{Job, Run, encode_ops};

use super::Sink;
use super::driver::{FATES, MESSAGE};
use super::workload::Op;

/// Crashes are drawn from so many operations of a boot.
const OPS_MAX: u64 = 1000;
/// So many operations more than the plain run has may come after a message is lost; fewer, or the
/// exploration says that it was not exhaustive.
const LATER_OPS: u64 = 40;
/// The boots of both participants and of the sink, by number; the driver's own is the first.
const BOOTS: [u64; 3] = [1, 2, 3];

/// Two rows, one for each participant.
fn workload() -> Vec<Op> {
    vec![Op::Explored, Op::Rows { count: 2, keys: 0 }]
}

fn plan() -> Plan {
    let text = format!(
        "name = \"one_crash\"\n\
         about = \"one crash at any operation, nothing else\"\n\
         [node]\n\
         crash_count = 1\n\
         crash_after_ops = \"1..{OPS_MAX}\"\n\
         power_loss_probability = \"1/2\"\n"
    );
    Plan::from_toml(&text, "the plan of one crash").expect("a plan that is well formed")
}

type Answers = Vec<(&'static str, u64, u64)>;

fn job(plant: Option<&str>, answers: &Answers) -> Job {
    Job {
        plant: plant.map(str::to_owned),
        workload: Some(encode_ops(&workload())),
        source: sparse(answers),
        record: true,
        ..Job::new(0, Arc::new(plan()))
    }
}

/// What a crash leaves: the process dies; the power goes, and everything stays; nothing stays that
/// was not synced.
const CRASHES: [&[(&str, u64, u64)]; 3] =
    [&[], &[("crash.power_loss", 0, 1)], &[("crash.power_loss", 0, 1), ("loss.mode", 0, 1)]];

impl Variations for Sink {
    fn about(&self) -> &'static str {
        "one transaction over two participants; one crash at any operation of any node, done or \
         not, of the process or of the power with all or nothing left that was not synced, the \
         node back at once or after 20 s; and without a crash, and with each whose node is back at \
         once, each message lost, too late, or late and met by its repetition. Left out: crashes \
         in a later boot, thus within recovery; requests to connect; messages of runs whose \
         node is away for 20 s; a second crash or message of a run"
    }

    fn crashes(&self, plant: Option<&str>) -> Vec<Crash> {
        let mut crashes = vec![Crash { job: job(plant, &Vec::new()), is_beyond: false }];
        for (boot, ops) in BOOTS.into_iter().zip(ops_of_boots(self, plant)) {
            let last = ops + LATER_OPS;
            for op in 1..=last {
                for (after, kind, down) in ways() {
                    let mut answers: Answers = vec![("crash.op", boot, op)];
                    answers.push(("crash.after_effect", 0, after));
                    answers.extend(CRASHES[kind]);
                    answers.push(("cluster.down", 0, down));
                    answers.retain(|(_, _, value)| *value > 0);
                    crashes.push(Crash { job: job(plant, &answers), is_beyond: op == last });
                }
            }
        }
        crashes
    }

    fn messages(&self, job: &Job, run: &Run) -> Vec<Job> {
        let seedbed::Source::Sparse(list) = &job.source else { return Vec::new() };
        if list.iter().any(|made| &*made.label == "cluster.down") {
            return Vec::new();
        }
        let count = run.finished.decisions.iter().filter(|made| &*made.label == MESSAGE).count();
        let mut jobs = Vec::new();
        for nth in 0..count as u64 {
            for fate in 1..FATES {
                let mut decisions = list.to_vec();
                decisions.push(seedbed::traces::Decision {
                    label: MESSAGE.into(),
                    nth,
                    bound: FATES,
                    value: fate,
                });
                let source = seedbed::Source::Sparse(Arc::from(decisions));
                jobs.push(Job { source, record: false, ..job.clone() });
            }
        }
        jobs
    }
}

/// Whether the operation at which a node crashes is done, what the crash leaves, and when the node
/// comes back.
fn ways() -> impl Iterator<Item = (u64, usize, u64)> {
    let all = (0..2).flat_map(|after| (0..CRASHES.len()).map(move |kind| (after, kind)));
    all.flat_map(|(after, kind)| [0, 3].map(|down| (after, kind, down)))
}

/// How many operations each node makes in its first boot: a crash at a later one is no crash.
fn ops_of_boots(sink: &Sink, plant: Option<&str>) -> Vec<u64> {
    let crashes = |boot: u64, op: u64| {
        let run = seedbed::Scenario::run(sink, &job(plant, &vec![("crash.op", boot, op)]));
        run.finished.decisions.iter().any(|made| &*made.label == "crash.power_loss")
    };
    let ops = |boot: u64| (1..=OPS_MAX).take_while(|op| crashes(boot, *op)).count() as u64;
    BOOTS.map(ops).to_vec()
}

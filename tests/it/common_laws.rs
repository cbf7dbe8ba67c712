//! The laws that every scenario has, and their must-fail twins: an engine that panics, one that
//! waits for nobody, one that runs in circles; and one that does none of it.

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed::faults::Plan;
use seedbed::seam::Spawn;
use seedbed::{
    Failure, Job, LAW_LIVE, LAW_NO_PANIC, Law, Outcome, Progress, Scenario, Sim, SimEnv, Sweep,
    Testbed, sweep,
};

#[derive(Clone, Copy, Debug)]
enum Conduct {
    Panics,
    PanicsInAnotherTask,
    WaitsForever,
    RunsInCircles,
    Works,
}

struct Engine(Conduct);

async fn behave(env: SimEnv, conduct: Conduct) {
    match conduct {
        Conduct::Panics => panic!("an index was {}", 7),
        Conduct::PanicsInAnotherTask => {
            let _ = env.spawn(async { panic!("elsewhere") }).await;
        }
        Conduct::WaitsForever => std::future::pending().await,
        Conduct::RunsInCircles => {
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                std::task::Poll::<()>::Pending
            })
            .await;
        }
        Conduct::Works => {}
    }
}

impl Testbed for Engine {
    type Op = ();

    fn name(&self) -> &'static str {
        "conduct"
    }

    fn about(&self) -> &'static str {
        "an engine that misbehaves"
    }

    fn laws(&self) -> &'static [Law] {
        &[]
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(Vec::new()).boxed()
    }

    fn drive(&self, sim: &mut Sim, _ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
        sim.set_poll_limit(10_000);
        let node = sim.add_node("node");
        let env = sim.boot(node);
        Ok(sim.run(env, behave(env, self.0))?)
    }
}

fn outcome(conduct: Conduct) -> Outcome {
    Engine(conduct).run(&Job::new(1, Plan::default().into())).outcome
}

#[test]
fn a_panic_is_a_violation_that_names_its_place() {
    for conduct in [Conduct::Panics, Conduct::PanicsInAnotherTask] {
        let outcome = outcome(conduct);
        let violation = outcome.violation().expect("a violation");
        assert_eq!(violation.law, LAW_NO_PANIC.name);
        assert!(violation.got.contains("common_laws.rs:"), "{}", violation.got);
    }
}

#[test]
fn waiting_for_nobody_is_a_violation() {
    assert_eq!(outcome(Conduct::WaitsForever).violation().expect("a violation").law, LAW_LIVE.name);
}

#[test]
fn running_in_circles_ends_without_a_verdict() {
    assert!(matches!(outcome(Conduct::RunsInCircles), Outcome::Inconclusive(_)));
}

#[test]
fn an_engine_that_works_passes() {
    assert_eq!(outcome(Conduct::Works), Outcome::Passed);
}

/// The sink has one copy of everything. Where a medium is damaged it may lose rows, which breaks no
/// law then, and is no pass either.
#[test]
fn a_damaged_medium_is_more_than_the_sink_must_survive() {
    let sink = seedbed_scenarios::sink::Sink;
    let media = Plan::preset("media").expect("a preset");
    let swept = sweep(&sink, &Sweep { jobs: 2, ..Sweep::new(0..200, media) }, &Progress::default());
    assert!(swept.found.is_empty(), "{:?}", swept.found);
    let excused = |(_, reason): &&(u64, String)| reason.contains("beyond what it must survive");
    let count = swept.inconclusive.iter().filter(excused).count();
    assert!(count > 0 && count == swept.inconclusive.len(), "{:?}", swept.inconclusive);
}

//! Read-driven pruning: exploration costs what recovery reads, and finds the same.

use std::collections::BTreeSet;

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed::explore::{
    Boot, CaseExplorer, Exploration, Explore, ExploreProgress, Explored, Goal, Setting, explore,
    explorer,
};
use seedbed::faults::Profile;
use seedbed::seam::{File, Fs, OpenOptions};
use seedbed::{CrashKind, Failure, Law, NodeId, Scenario, Sim, SimEnv, Stop, Testbed, Violation};

const PAGE: usize = 4096;
/// Pages besides the first, which points at one of them.
const PAGES: u64 = 10;

const POINTED: Law = Law {
    name: "what is pointed at is there",
    statement: "the page that the first page points at has been written",
};

/// A file whose first page points at another page: recovery reads these two and no others.
struct Pointer {
    /// The pages are durable before the first page points at one.
    in_order: bool,
}

async fn write(env: SimEnv, in_order: bool) -> std::io::Result<()> {
    let file = env.open("pages", OpenOptions::read_write_create()).await?;
    file.set_len((PAGES + 1) * PAGE as u64).await?;
    file.sync_all().await?;
    env.sync_dir("").await?;
    for page in 1..=PAGES {
        file.write_all_at(&[7; PAGE], page * PAGE as u64).await?;
    }
    if in_order {
        file.sync_all().await?;
    }
    file.write_all_at(&[PAGES as u8; PAGE], 0).await?;
    file.sync_all().await
}

/// What the page pointed at holds; `None` if there is none.
async fn recover(env: SimEnv) -> std::io::Result<Option<u8>> {
    let file = env.open("pages", OpenOptions::read_write_create()).await?;
    let mut byte = [0];
    if file.read_at(&mut byte, 0).await? == 0 || byte[0] == 0 {
        return Ok(None);
    }
    let at = u64::from(byte[0]) * PAGE as u64;
    file.read_at(&mut byte, at).await?;
    Ok(Some(byte[0]))
}

impl Testbed for Pointer {
    type Op = ();

    fn name(&self) -> &'static str {
        "pointer"
    }

    fn about(&self) -> &'static str {
        "a page that points at another"
    }

    fn laws(&self) -> &'static [Law] {
        &[POINTED]
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(vec![()]).boxed()
    }

    fn drive(&self, sim: &mut Sim, ops: &[()], plant: Option<&str>) -> Result<(), Failure> {
        self.begin(sim, ops, plant)?;
        let node = sim.add_node("node");
        self.boot(sim, node, &mut (), Goal::Work).map(drop)?;
        self.boot(sim, node, &mut (), Goal::Recover).map(drop)
    }

    fn explorer(&self) -> Option<Box<dyn CaseExplorer + '_>> {
        Some(explorer(self))
    }
}

impl Explore for Pointer {
    type Memory = ();

    fn settings(&self) -> Vec<Setting> {
        vec![Setting { name: "default", answers: Vec::new() }]
    }

    fn alphabet(&self) -> Vec<()> {
        vec![()]
    }

    fn begin(&self, _: &mut Sim, _: &[()], _: Option<&str>) -> Result<(), Failure> {
        Ok(())
    }

    fn boot(&self, sim: &mut Sim, node: NodeId, _: &mut (), goal: Goal) -> Result<Boot, Failure> {
        let (env, in_order) = (sim.boot(node), self.in_order);
        let end = sim.run(env, async move {
            let found = recover(env).await.expect("the disk works");
            if goal == Goal::Work {
                write(env, in_order).await.expect("the disk works");
            }
            found
        });
        match end {
            Ok(Some(0)) => Err(Violation::new(POINTED.name, POINTED.statement, "zeros").into()),
            Ok(_) => Ok(Boot::Done),
            Err(Stop::Crashed(..)) => Ok(Boot::Crashed),
            Err(stop) => Err(stop.into()),
        }
    }

    fn crashed(&self, _: &Sim, _: &mut (), _: CrashKind) {}

    fn fingerprint(&self, _: &()) -> u64 {
        0
    }
}

fn run(scenario: &dyn Scenario, what: &Exploration) -> Explored {
    explore(scenario, what, &ExploreProgress::default()).expect("it can be explored")
}

/// Its only workload under one profile, to the end.
fn run_pointer(in_order: bool, unread: bool) -> Explored {
    let what = Exploration {
        length_max: 1,
        depth: 1,
        work_length_max: 0,
        profiles: vec![Profile::BTRFS],
        violations_max: 0,
        unread,
        ..Exploration::default()
    };
    run(&Pointer { in_order }, &what)
}

/// Each page there or not: 2^10 images, and recovery reads the first page and the last.
#[test]
fn what_recovery_does_not_read_costs_no_recoveries() {
    let [pruned, all] = [true, false].map(|unread| run_pointer(true, unread));
    for explored in [&pruned, &all] {
        assert!(explored.is_exhaustive(), "{explored:?}");
        assert!(explored.tally.found > 1 << PAGES, "{:?}", explored.tally);
    }
    assert!(all.tally.checked > 1 << PAGES, "{:?}", all.tally);
    assert!(pruned.tally.checked < 4 * PAGES, "{:?}", pruned.tally);
}

/// Its twin: a page that is read after all, in one image out of many.
#[test]
fn a_page_that_is_read_only_where_another_is_there_is_not_overlooked() {
    for unread in [true, false] {
        let explored = run_pointer(false, unread);
        let found = explored.found.first().expect("nothing orders the two pages");
        assert_eq!(found.violation.law, POINTED.name);
        assert_eq!(found.nodes(), 1, "{found:?}");
    }
}

/// Every plant of the patterns, and those of the store that a crash alone brings out; by turns on
/// two file systems.
#[test]
fn pruning_what_nobody_reads_changes_no_verdict() {
    let mut pruned_in = BTreeSet::new();
    let all = seedbed_scenarios::all().into_iter().chain(seedbed_scenarios::patterns());
    for scenario in all.filter(|scenario| scenario.explorer().is_some()) {
        let is_store = scenario.name() == "atomic_commit";
        let settings = if is_store { vec!["async_sync".to_owned()] } else { Vec::new() };
        let plants = scenario.plants().into_iter().map(|plant| Some(plant.name.to_owned()));
        for (nth, plant) in plants.chain([None]).enumerate() {
            let profile = [Profile::EXT4, Profile::BTRFS][nth % 2];
            let what = |unread| Exploration {
                length_max: if is_store { 1 } else { 2 },
                work_length_max: u32::from(!is_store),
                settings: settings.clone(),
                profiles: vec![profile],
                plant: plant.clone(),
                violations_max: 0,
                jobs: 2,
                unread,
                ..Exploration::default()
            };
            let (pruned, all) = (run(&*scenario, &what(true)), run(&*scenario, &what(false)));
            let verdict = |explored: &Explored| {
                let law = |found: &seedbed::explore::Finding| {
                    (found.number, found.violation.law.clone(), found.nodes())
                };
                explored.found.iter().map(law).collect::<Vec<_>>()
            };
            assert_eq!(verdict(&pruned), verdict(&all), "{} {plant:?}", scenario.name());
            if pruned.tally.unread > 0 {
                pruned_in.insert(scenario.name());
            }
        }
    }
    assert!(pruned_in.contains("atomic_commit") && pruned_in.len() > 1, "{pruned_in:?}");
}

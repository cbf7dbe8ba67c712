//! The testbed of every pattern: one client, one engine, boots and crashes.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use seedbed::explore::{Boot, CaseExplorer, Explore, Goal, Setting, explorer};
use seedbed::faults::{DeviceFaults, DiskFaults};
use seedbed::{
    CrashKind, Failure, FaultKind, Law, NodeId, PlantInfo, Sim, SimEnv, Stop, Testbed, Violation,
};

use super::oracle::{Client, Op};
use super::{About, DURABLE, Engine, KEYS, OPENS, PREFIX};

/// Boots after which a run must be over: more than any plan's crashes.
const BOOTS_MAX: u64 = 10_000;

/// The scenario of one engine.
pub(super) struct Pattern<E>(PhantomData<fn() -> E>);

/// What outlives the node.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    planted: bool,
    client: Client,
}

impl<E> Pattern<E> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E: Engine> fmt::Debug for Pattern<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(E::ABOUT.name)
    }
}

impl<E: Engine<Fs = SimEnv>> Testbed for Pattern<E> {
    type Op = Op;

    fn name(&self) -> &'static str {
        E::ABOUT.name
    }

    fn about(&self) -> &'static str {
        E::ABOUT.about
    }

    fn laws(&self) -> &'static [Law] {
        &[OPENS, DURABLE, PREFIX]
    }

    fn plants(&self) -> Vec<PlantInfo> {
        let About { plant, deviation, met, breaks, severity, left_open, .. } = E::ABOUT;
        let info = PlantInfo::bug(plant, deviation).met(met).breaks(breaks);
        vec![info.shows_on(severity).left_open(left_open).under("crashes")]
    }

    fn workload(&self) -> BoxedStrategy<Vec<Op>> {
        let keys = vec(0..KEYS as u8, 1..4);
        let put = keys.prop_map(|keys| Op::Put { keys });
        vec(prop_oneof![4 => put, 1 => Just(Op::Checkpoint)], 1..24).boxed()
    }

    fn drive(&self, sim: &mut Sim, ops: &[Op], plant: Option<&str>) -> Result<(), Failure> {
        let mut memory = self.begin(sim, ops, plant)?;
        let node = sim.add_node("engine");
        let mut healed = false;
        for _ in 0..BOOTS_MAX {
            match boot::<E>(sim, node, &mut memory, Goal::Work)? {
                Boot::Done if healed => return Ok(()),
                Boot::Done => {
                    sim.restart(node);
                    sim.heal();
                    healed = true;
                }
                Boot::Crashed => {}
                Boot::Refused => return Ok(()),
            }
        }
        Err(Failure::Inconclusive(format!("not over after {BOOTS_MAX} boots")))
    }

    fn explorer(&self) -> Option<Box<dyn CaseExplorer + '_>> {
        Some(explorer(self))
    }
}

impl<E: Engine<Fs = SimEnv>> Explore for Pattern<E> {
    type Memory = Memory;

    fn settings(&self) -> Vec<Setting> {
        vec![Setting { name: "default", answers: Vec::new() }]
    }

    fn alphabet(&self) -> Vec<Op> {
        let put = |keys: &[u8]| Op::Put { keys: keys.to_vec() };
        vec![put(&[0]), put(&[0, 1]), Op::Checkpoint]
    }

    fn begin(&self, sim: &mut Sim, ops: &[Op], plant: Option<&str>) -> Result<Memory, Failure> {
        let planted = match plant {
            None => false,
            Some(name) if name == E::ABOUT.plant => true,
            Some(name) => return Err(Failure::Inconclusive(format!("there is no plant {name}"))),
        };
        only_crashes(sim);
        Ok(Memory { planted, client: Client::new(ops) })
    }

    fn boot(
        &self,
        sim: &mut Sim,
        node: NodeId,
        memory: &mut Memory,
        goal: Goal,
    ) -> Result<Boot, Failure> {
        boot::<E>(sim, node, memory, goal)
    }

    fn judges_unstable(&self) -> bool {
        true
    }

    fn crashed(&self, _sim: &Sim, _memory: &mut Memory, _kind: CrashKind) {}

    fn fingerprint(&self, memory: &Memory) -> u64 {
        memory.client.fingerprint()
    }
}

/// Whatever the plan says, the disk neither fails nor rots.
fn only_crashes(sim: &mut Sim) {
    let mut faults = sim.faults();
    let disk = &faults.disk;
    faults.disk = DiskFaults {
        profile: disk.profile,
        read_latency: disk.read_latency,
        write_latency: disk.write_latency,
        sync_latency: disk.sync_latency,
        metadata_latency: disk.metadata_latency,
        torn_page_probability: disk.torn_page_probability,
        ..DiskFaults::default()
    };
    let DeviceFaults { garbage_in_write, garbage_probability, .. } = faults.device;
    faults.device = DeviceFaults::default();
    if garbage_in_write {
        faults.device.garbage_in_write = true;
        faults.device.garbage_probability = garbage_probability;
    }
    sim.set_faults(faults);
}

/// One boot: recover, check, and work if that is the goal.
fn boot<E: Engine<Fs = SimEnv>>(
    sim: &mut Sim,
    node: NodeId,
    memory: &mut Memory,
    goal: Goal,
) -> Result<Boot, Failure> {
    let env = sim.boot(node);
    let client = Rc::new(RefCell::new(std::mem::take(&mut memory.client)));
    let end = sim.run(env, life::<E>(env, memory.planted, Rc::clone(&client), goal));
    memory.client = client.take();
    match end {
        Ok(result) => Ok(result?),
        Err(Stop::Crashed(..)) => Ok(Boot::Crashed),
        Err(stop) => Err(stop.into()),
    }
}

async fn life<E: Engine<Fs = SimEnv>>(
    env: SimEnv,
    planted: bool,
    client: Rc<RefCell<Client>>,
    goal: Goal,
) -> Result<Boot, Violation> {
    let mut engine = match E::open(env, planted).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidData && has_unstable_junk(env) => {
            return Ok(Boot::Refused);
        }
        opened => opened.map_err(failed)?,
    };
    let state = engine.state();
    env.note("recovered", state.iter().copied().max().unwrap_or(0), || format!("{state:?}"));
    env.count_check();
    client.borrow_mut().recovered(&state)?;
    if goal == Goal::Recover {
        return Ok(Boot::Done);
    }
    loop {
        let Some(op) = client.borrow_mut().next_op() else { return Ok(Boot::Done) };
        match op {
            Op::Put { keys } => {
                let number = client.borrow_mut().submit(&keys);
                engine.put(&keys, number).await.map_err(failed)?;
                if E::ABOUT.puts_are_durable {
                    client.borrow_mut().acknowledged();
                    env.note("ack", number, || format!("put {number} of keys {keys:?}"));
                }
            }
            Op::Checkpoint => {
                engine.checkpoint().await.map_err(failed)?;
                client.borrow_mut().acknowledged();
                env.note("checkpointed", 0, || "all puts are durable".to_owned());
            }
        }
    }
}

/// See [`Sim::has_unstable_junk`].
fn has_unstable_junk(env: SimEnv) -> bool {
    env.stats().fault(FaultKind::Unstable) > 0
}

/// No operation of the disk fails: an error is the engine's.
fn failed(error: io::Error) -> Violation {
    Violation::new(OPENS.name, OPENS.statement, error.to_string())
}

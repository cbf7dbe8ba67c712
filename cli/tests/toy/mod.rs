//! A testbed small enough to read: an append-only log of bytes, right and wrong in several ways.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use seedbed::proptest::collection::vec;
use seedbed::proptest::prelude::any;
use seedbed::proptest::strategy::{BoxedStrategy, Strategy};
use seedbed::seam::{Clock, File, Fs, OpenOptions};
use seedbed::{CrashKind, Failure, Law, PlantInfo, Sim, SimEnv, Stop, Testbed, Violation};

const LAW: Law = Law {
    name: "acknowledged is durable",
    statement: "every acknowledged byte is there after a crash",
};

/// A log and the deviations that it offers.
pub(crate) struct Toy {
    pub(crate) name: &'static str,
    pub(crate) plants: &'static [PlantInfo],
}

const fn plant(name: &'static str, about: &'static str, benign: bool) -> PlantInfo {
    match benign {
        true => PlantInfo::benign(name, about),
        false => PlantInfo::bug(name, about),
    }
}

/// Deviations that the law has to judge.
pub(crate) const SOUND: &[PlantInfo] = &[
    plant("no_sync", "Acknowledges before it syncs.", false),
    plant("extra_sync", "Syncs twice.", true),
];
/// Deviations that show what a tool does when a testbed misbehaves.
pub(crate) const ODD: &[PlantInfo] = &[
    plant("endless", "Never ends.", false),
    plant("ambient", "Looks at something outside the simulation.", false),
    plant("broken", "The testbed panics.", false),
    plant("unnoticed", "Said to be a bug, but no law is broken.", false),
    plant("alarming", "Said to be harmless, but a law is broken.", true),
];

static AMBIENT: AtomicU64 = AtomicU64::new(0);

impl Testbed for Toy {
    type Op = u8;

    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        "an append-only log of bytes"
    }

    fn laws(&self) -> &'static [Law] {
        &[LAW]
    }

    fn plants(&self) -> Vec<PlantInfo> {
        self.plants.to_vec()
    }

    fn workload(&self) -> BoxedStrategy<Vec<u8>> {
        vec(any::<u8>().prop_map(|byte| byte.max(1)), 1..8).boxed()
    }

    fn drive(&self, sim: &mut Sim, ops: &[u8], plant: Option<&str>) -> Result<(), Failure> {
        match plant {
            Some("broken") => panic!("the testbed is broken"),
            Some("endless") => sim.set_poll_limit(200),
            _ => {}
        }
        let node = sim.add_node("log");
        if plant == Some("ambient") {
            sim.note("ambient", AMBIENT.fetch_add(1, Ordering::Relaxed), String::new);
        }
        let acked = Rc::new(RefCell::new(0));
        let plant: Option<Rc<str>> = plant.map(Into::into);
        for boot in 0.. {
            if boot == 50 {
                sim.heal();
            }
            let env = sim.boot(node);
            let life = live(env, ops.to_vec(), Rc::clone(&acked), plant.clone());
            match sim.run(env, life) {
                Ok(Ok(Some(violation))) => return Err(violation.into()),
                Ok(Ok(None)) => break,
                Ok(Err(_)) => sim.crash(node, CrashKind::PowerLoss),
                Err(Stop::Crashed(..)) => {}
                Err(stop) => return Err(stop.into()),
            }
            sim.count_check();
        }
        Ok(())
    }
}

/// One life of the log: recover, check, append what is missing.
async fn live(
    env: SimEnv,
    ops: Vec<u8>,
    acked: Rc<RefCell<usize>>,
    plant: Option<Rc<str>>,
) -> io::Result<Option<Violation>> {
    let plant = plant.as_deref();
    while plant == Some("endless") {
        env.sleep(std::time::Duration::from_millis(1)).await;
    }
    let file = env.open("log", OpenOptions::read_write_create()).await?;
    env.sync_dir("").await?;
    let mut bytes = vec![0; file.len().await? as usize];
    file.read_exact_at(&mut bytes, 0).await?;
    let good = bytes.iter().zip(&ops).take_while(|(byte, op)| byte == op).count();
    if good < *acked.borrow() {
        let expected = format!("{} bytes", acked.borrow());
        return Ok(Some(Violation::new(LAW.name, expected, format!("{good} bytes"))));
    }
    file.set_len(good as u64).await?;
    file.sync_data().await?;
    for (index, op) in ops.iter().enumerate().skip(good) {
        file.write_all_at(&[*op], index as u64).await?;
        if !matches!(plant, Some("no_sync" | "alarming")) {
            file.sync_data().await?;
        }
        if plant == Some("extra_sync") {
            file.sync_data().await?;
        }
        *acked.borrow_mut() = index + 1;
    }
    Ok(None)
}

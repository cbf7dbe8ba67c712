//! The same engine, the same clients and the same oracle on a real folder.

use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use seedbed::Testbed;
use seedbed_engines::atomic_commit::Durability;
use seedbed_env::OsEnv;
use seedbed_scenarios::atomic_commit::{AtomicCommit, run_on_real_folder};

#[test]
fn the_store_obeys_its_laws_on_a_real_folder_in_every_mode() {
    let modes = [
        Durability::Immediate,
        Durability::Group { max_batch: 8, max_delay: Duration::ZERO },
        Durability::Group { max_batch: 8, max_delay: Duration::from_micros(200) },
        Durability::Batch(4),
        Durability::AsyncSync,
        Durability::WriteBehind { interval: Duration::from_millis(1) },
        Durability::None,
    ];
    let mut runner = TestRunner::deterministic();
    for round in 0..21 {
        let mode = modes[round % modes.len()];
        let ops = AtomicCommit.workload().new_tree(&mut runner).expect("a workload").current();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let env = OsEnv::new(folder.path());
        let result = runtime.expect("a runtime").block_on(run_on_real_folder(env, &ops, mode));
        assert_eq!(result, Ok(()), "{mode:?}: {ops:?}");
    }
}

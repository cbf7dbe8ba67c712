//! The real kernel: a handful of rows on each file system, as they were recorded. Says why when it
//! cannot.
//!
//! `UPDATE_LITMUS=1 cargo test -p seedbed-litmus --test kernel` measures every row on every setup
//! and adds what is new to the file of recorded outcomes. Some outcomes are races that are rarely
//! lost, so it forgets none; `UPDATE_LITMUS=fresh` begins anew.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use seedbed_litmus::{
    Crashes, Job, Recorded, Runner, Setup, Verdict, check_error_row, error_rows, kernel, outcome,
    random_workload, rows, run_all, run_error_row, verdict,
};

/// Rows of which each shows a difference between file systems.
const HANDFUL: [&str; 6] = ["01", "04", "10", "23", "34", "42"];
/// How often a row is measured for the record.
const MEASUREMENTS: usize = 20;
/// Threads that measure beside each other: what is a race shows only when there is something to
/// race with.
const THREADS: usize = 6;

/// The setups of these names that can be used here; says what is missing for the others.
fn setups(names: &[&str]) -> Vec<&'static Setup> {
    let setups = names.iter().map(|name| Setup::named(name).expect("known"));
    let usable = setups.filter(|setup| match setup.available() {
        Ok(()) => true,
        Err(why) => {
            println!("skipped: {}: {why}", setup.name);
            false
        }
    });
    usable.collect()
}

#[test]
fn a_handful_of_rows_comes_out_as_recorded() {
    let recorded = Recorded::shipped();
    for setup in setups(&["ext4", "xfs", "btrfs"]) {
        let mut runner = Runner::new();
        for row in rows().iter().filter(|row| HANDFUL.contains(&row.id.as_str())) {
            let observed = runner.run(setup, &row.workload, Crashes::Marked).expect("runs");
            let outcome = outcome(row, observed).expect("no step fails");
            let verdict = verdict(&recorded, row, setup, &outcome);
            let known = recorded.outcomes(&row.id, setup.name);
            let (id, name) = (&row.id, setup.name);
            if recorded.kernel != kernel() {
                println!("row {id} on {name}: {verdict:?} (recorded on {})", recorded.kernel);
                continue;
            }
            assert_eq!(
                verdict,
                Verdict::AsRecorded,
                "row {id} on {name}: {outcome}, not {known:?}"
            );
        }
    }
}

#[test]
fn a_refused_write_is_reported_once_and_reads_as_new_until_the_page_is_dropped() {
    let rows = error_rows();
    for setup in setups(&["ext4", "xfs", "btrfs"]) {
        let cells = run_error_row(setup, &rows[0]).expect("runs");
        let reported = [&cells.write, &cells.fsync_1, &cells.fsync_2, &cells.opened_before];
        assert_eq!(reported, ["ok", "ENOSPC", "ok", "ENOSPC"], "{}", setup.name);
        assert_eq!([&cells.cached, &cells.dropped], ["o*4096,n*4096", "o*4096,p*4096"]);
    }
}

#[test]
fn a_crash_at_every_step_shows_each_of_them_and_random_steps_succeed() {
    for setup in setups(&["ext4", "xfs", "btrfs"]) {
        let jobs: Vec<_> = (0..20)
            .map(|seed| Job { setup, workload: random_workload(seed), crashes: Crashes::EveryStep })
            .collect();
        let mut seen = 0;
        run_all(&jobs, 2, &AtomicBool::new(false), |number, observed| {
            let observed = observed.expect("runs");
            let steps = &jobs[number].workload.steps;
            assert_eq!(observed.results, vec![Ok(()); steps.len()], "{}", jobs[number].workload);
            let after: Vec<_> = observed.crashes.iter().map(|crash| crash.after).collect();
            assert_eq!(after, (0..=steps.len()).collect::<Vec<_>>());
            seen += 1;
        });
        assert_eq!(seen, jobs.len());
    }
}

#[test]
fn the_record_can_be_renewed() {
    let Ok(wish) = std::env::var("UPDATE_LITMUS") else { return };
    let mut recorded = Recorded::shipped();
    if wish == "fresh" || recorded.kernel != kernel() {
        recorded = Recorded { kernel: kernel(), ..Recorded::default() };
    }
    let rows = rows();
    for setup in Setup::with_power_losses() {
        setup.available().expect("a record takes every setup");
        let jobs = (0..MEASUREMENTS * rows.len()).map(|number| {
            let workload = rows[number % rows.len()].workload.clone();
            Job { setup, workload, crashes: Crashes::Marked }
        });
        let jobs: Vec<_> = jobs.collect();
        run_all(&jobs, THREADS, &AtomicBool::new(false), |number, observed| {
            let row = &rows[number % rows.len()];
            let outcome = outcome(row, observed.expect("runs")).expect("no step fails");
            let setups = recorded.persistence.entry(row.id.clone()).or_default();
            let known = setups.entry(setup.name.to_owned()).or_default();
            if !known.contains(&outcome) {
                known.push(outcome);
                known.sort();
            }
        });
    }
    for setup in Setup::with_refused_writes() {
        for row in &error_rows() {
            let (cells, _) = check_error_row(&recorded, row, setup).expect("runs");
            let setups = recorded.errors.entry(row.id.clone()).or_default();
            setups.insert(setup.name.to_owned(), cells);
        }
    }
    let series: Vec<_> = recorded.kernel.split('.').take(2).collect();
    let name = format!("recorded/linux-{}.toml", series.join("."));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let head = "# Measured, not written: UPDATE_LITMUS=1 cargo test -p seedbed-litmus\n\n";
    let text = toml::to_string(&recorded).expect("plain data");
    std::fs::write(&path, format!("{head}{text}")).expect("writable");
    println!("written: {}", path.display());
}

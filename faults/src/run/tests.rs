//! Tests of `[run]` tables and seed ranges.

use super::{RunSettings, Seeds};
use crate::plan::Plan;

#[test]
fn ranges_of_seeds_are_read_and_shown() {
    let cases = [("7", 0..7), ("3..9", 3..9), ("3..=9", 3..10), ("4..4", 4..4), ("1_000", 0..1000)];
    for (text, range) in cases {
        assert_eq!(text.parse::<Seeds>().unwrap().range(), range, "{text}");
    }
    assert_eq!(Seeds { start: 3, end: 9 }.to_string(), "3..9");
}

#[test]
fn bad_ranges_of_seeds_say_why() {
    let max = format!("0..={}", u64::MAX);
    let cases = [("9..3", "reversed"), ("", "numbers"), ("a..b", "numbers"), ("-1", "numbers")];
    for (text, why) in cases.into_iter().chain([(max.as_str(), "too large")]) {
        let error = text.parse::<Seeds>().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("1000..2000"), "{error}");
    }
}

#[test]
fn a_run_table_is_read_and_never_written() {
    let text = "name = \"x\"\n[run]\nseeds = \"5..6\"\njobs = 2\nplant = \"p\"\n\
                omit_sync = [\"a.rs:1\"]\nmax_violations = 0\ncheck_determinism = 64\n\
                traces = \"t\"\n";
    let plan = Plan::from_toml(text, "x.toml").unwrap();
    let run = plan.run.clone().unwrap();
    assert_eq!(run.seeds, Some(Seeds { start: 5, end: 6 }));
    assert_eq!((run.jobs, run.max_violations, run.check_determinism), (Some(2), Some(0), Some(64)));
    assert_eq!((run.plant.as_deref(), run.traces.as_deref()), (Some("p"), Some("t")));
    assert_eq!(run.omit_sync, ["a.rs:1"]);
    let again = Plan::from_toml(&plan.to_toml(), "again").unwrap();
    assert_eq!(again, Plan { run: None, ..plan });
    let count = Plan::from_toml("[run]\nseeds = 12\n", "x.toml").unwrap().run.unwrap();
    assert_eq!(count, RunSettings { seeds: Some(Seeds::first(12)), ..RunSettings::default() });
}

#[test]
fn a_typo_in_a_run_table_names_the_line_and_the_nearest_key() {
    let error = Plan::from_toml("[run]\nseed = 12\n", "x.toml").unwrap_err().to_string();
    assert!(error.contains("x.toml:2") && error.contains("did you mean \"seeds\""), "{error}");
    let error = Plan::from_toml("[run]\nseeds = \"9..3\"\n", "x.toml").unwrap_err().to_string();
    assert!(error.contains("x.toml:2") && error.contains("reversed"), "{error}");
}

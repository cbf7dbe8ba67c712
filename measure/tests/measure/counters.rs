//! Counters are compared to the last unit.

use seedbed_measure::counters::verdict;
use seedbed_measure::{Counters, Finding, Verdict};

fn counters(operations: u64, counts: &[(&str, u64)]) -> Counters {
    let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    Counters { operations, counts }
}

#[test]
fn equal_counters_have_no_findings() {
    let before = counters(1000, &[("syncs", 1000), ("bytes", u64::MAX)]);
    assert_eq!(before.compare(&before), []);
    assert_eq!(verdict(&[]), Verdict::Same);
}

#[test]
fn one_sync_more_in_a_million_is_a_regression() {
    let before = counters(1_000_000, &[("syncs", 1_000_000)]);
    let findings = before.compare(&counters(1_000_000, &[("syncs", 1_000_001)]));
    assert_eq!(verdict(&findings), Verdict::Regressed);
    assert_eq!(findings[0].to_string(), "syncs: 1000001, 1 more than 1000000");
}

#[test]
fn less_is_better_unless_something_else_is_more() {
    let before = counters(10, &[("bytes", 500), ("syncs", 10)]);
    let less = before.compare(&counters(10, &[("bytes", 400), ("syncs", 10)]));
    assert_eq!(verdict(&less), Verdict::Better);
    assert_eq!(less[0].to_string(), "bytes: 400, 100 less than 500");
    let mixed = before.compare(&counters(10, &[("bytes", 400), ("syncs", 11)]));
    assert_eq!((mixed.len(), verdict(&mixed)), (2, Verdict::Regressed));
}

#[test]
fn what_is_gone_or_new_is_named_and_no_pass() {
    let before = counters(10, &[("bytes", 500), ("syncs", 10)]);
    let findings = before.compare(&counters(10, &[("syncs", 10), ("reads", 3)]));
    let missing = Finding::Missing { name: "bytes".into(), before: 500 };
    assert_eq!(findings, [missing, Finding::New { name: "reads".into(), after: 3 }]);
    assert_eq!(verdict(&findings), Verdict::Unclear);
}

#[test]
fn counts_of_different_numbers_of_operations_are_not_compared() {
    let findings = counters(10, &[("syncs", 10)]).compare(&counters(20, &[("syncs", 10)]));
    assert_eq!(findings, [Finding::OtherOperations { before: 10, after: 20 }]);
    assert_eq!(verdict(&findings), Verdict::Unclear);
}

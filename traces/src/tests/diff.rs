//! The first difference, whatever it is.

use super::sample;
use crate::{Decision, DecisionMode, Diff, Trace, Verdict, diff};

/// The difference to the sample after a change.
fn changed(change: impl FnOnce(&mut Trace)) -> Diff {
    let mut other = sample();
    change(&mut other);
    diff(&sample(), &other)
}

#[test]
fn a_trace_is_the_same_as_itself() {
    assert_eq!(changed(|_| ()), Diff::Same);
    assert_eq!(Diff::Same.to_string(), "the traces are the same");
}

#[test]
fn header_fields_are_named() {
    insta::assert_snapshot!(changed(|trace| trace.header.seed = 9), @r"
    the headers differ in seed
      left   24301
      right  9
    ");
    insta::assert_snapshot!(
        changed(|trace| trace.header.plan = "name = \"rough\"\nswarm = false\n".to_owned()), @r"
    the headers differ in plan
      left   swarm = true
      right  swarm = false
    ");
    insta::assert_snapshot!(changed(|trace| trace.header.settings.clear()), @r"
    the headers differ in settings
      left   nodes = 3
      right  (nothing)
    ");
}

#[test]
fn the_workload_comes_before_what_it_led_to() {
    let change = |trace: &mut Trace| {
        trace.workload.ops[1].text = "abort".to_owned();
        trace.decisions.clear();
        trace.events.clear();
    };
    insta::assert_snapshot!(changed(change), @r"
    the workloads differ at operation 1
      left   commit
      right  abort
    ");
    insta::assert_snapshot!(changed(|trace| trace.workload.ops[1].bytes = vec![2]), @r"
    the workloads differ at operation 1
      left   commit (bytes 01)
      right  commit (bytes 02)
    ");
    insta::assert_snapshot!(changed(|trace| trace.workload.ops.truncate(1)), @r"
    the workloads differ at operation 1
      left   commit
      right  (nothing)
    ");
}

#[test]
fn decisions_are_named_with_both_sides() {
    insta::assert_snapshot!(changed(|trace| trace.decisions[1].value = 4), @r"
    the decisions differ at number 1
      left   disk.latency[1] = 0 of 0..90
      right  disk.latency[1] = 4 of 0..90
    ");
    insta::assert_snapshot!(changed(|trace| trace.decisions[0].label = "net.delay".into()), @r"
    the decisions differ at number 0
      left   disk.latency[0] = 17 of 0..90
      right  net.delay[0] = 17 of 0..90
    ");
    insta::assert_snapshot!(changed(|trace| trace.decisions.truncate(2)), @r"
    the decisions differ at number 2
      left   crash[0] = 18446744073709551614 of 0..18446744073709551615
      right  (nothing)
    ");
}

#[test]
fn events_are_rendered_with_what_came_before() {
    let change = |trace: &mut Trace| {
        trace.events[2].cause = None;
        trace.end.digest.0[0] = 1;
    };
    insta::assert_snapshot!("event_differs", changed(change));
    let shorter = changed(|trace| trace.events.truncate(3));
    insta::assert_snapshot!("event_is_missing", shorter);
}

#[test]
fn the_end_is_compared_after_all_that_led_to_it() {
    insta::assert_snapshot!(changed(|trace| trace.end.digest.0[1] = 1), @r"
    all that was recorded is the same, the ends differ in digest
      left   000000000000feed000000000000beef
      right  000000000000feed0000000000000001
    ");
    insta::assert_snapshot!(changed(|trace| trace.end.verdict = Verdict::Passed), @r"
    all that was recorded is the same, the ends differ in verdict
      left   violation of durability at event 3, decision 3
      right  passed: all laws held
    ");
    let change = |trace: &mut Trace| {
        if let Verdict::Violation { got, .. } = &mut trace.end.verdict {
            *got = "k1 = 6".to_owned();
        }
    };
    insta::assert_snapshot!(changed(change), @r"
    all that was recorded is the same, the ends differ in violation
      left   expected k1 = 7, got k1 is missing
      right  expected k1 = 7, got k1 = 6
    ");
}

#[test]
fn another_build_matters_only_if_nothing_else_differs() {
    insta::assert_snapshot!(changed(|trace| trace.header.build = "0.2.0".to_owned()), @r"
    the headers differ in build
      left   0.1.0 release
      right  0.2.0
    ");
    let change = |trace: &mut Trace| {
        trace.header.build = "0.2.0".to_owned();
        trace.events.truncate(1);
    };
    assert!(matches!(changed(change), Diff::Event { number: 1, .. }));
}

#[test]
fn a_sparse_and_a_complete_trace_of_one_run_differ_in_nothing_but_that() {
    let sparse = |trace: &mut Trace| {
        trace.mode = DecisionMode::Sparse;
        trace.decisions.retain(|decision| decision.value != 0);
    };
    assert!(matches!(changed(sparse), Diff::Header { field: "decision mode", .. }));
    let other_value = |trace: &mut Trace| {
        sparse(trace);
        let Decision { value, .. } = &mut trace.decisions[1];
        *value -= 1;
    };
    assert!(matches!(changed(other_value), Diff::Decision { number: 1, .. }));
}

//! What people see.

use super::sample;
use crate::{
    End, Event, Line, Outcome, Trace, escape, render, render_decision, render_event, render_time,
};

#[test]
fn a_whole_trace_is_readable() {
    insta::assert_snapshot!("whole", render(&sample(), None));
}

#[test]
fn a_window_says_how_much_it_leaves_out() {
    let trace = Trace { header: crate::Header::default(), end: End::default(), ..sample() };
    insta::assert_snapshot!("window", render(&trace, Some(1..3)));
}

#[test]
fn columns_add_up_to_the_line() {
    let line = Line::new(&sample().events[2]);
    assert_eq!(line.op, "sync_data");
    assert_eq!(line.outcome, "EIO (injected: sync_error)");
    let texts = line.columns().map(|(text, width)| format!("{text:width$}"));
    assert_eq!(texts.join("  ").trim_end(), render_event(&sample().events[2]));
}

#[test]
fn times_have_one_width_and_a_unit_for_people() {
    let times = [0, 999, 1_000, 1_250_000, 999_999_999, 61_000_000_000, u64::MAX];
    insta::assert_snapshot!(times.map(render_time).join("|\n"), @r"
           0 ns|
         999 ns|
       1.000 us|
       1.250 ms|
     999.999 ms|
      61.000 s |
    18446744073.709 s
    ");
}

#[test]
fn outcomes_have_names() {
    let shown = |outcome| Line::new(&Event { outcome, ..Event::default() }).outcome;
    assert_eq!(shown(Outcome::None), "");
    assert_eq!(shown(Outcome::Done(0)), "ok");
    assert_eq!(shown(Outcome::Done(128)), "ok 128");
    assert_eq!(shown(Outcome::Failed { code: 28 }), "ENOSPC");
    assert_eq!(shown(Outcome::Failed { code: -7 }), "error -7");
}

#[test]
fn decisions_say_label_number_value_and_bound() {
    assert_eq!(render_decision(&sample().decisions[0]), "disk.latency[0] = 17 of 0..90");
}

#[test]
fn names_cannot_play_tricks_on_a_terminal() {
    assert_eq!(escape("a\x1b[31m\n\u{202e}\u{7f}é"), "a\\u{1b}[31m\\n\\u{202e}\\u{7f}é");
    let event = Event { subject: "a\nb".to_owned().into(), ..sample().events[0].clone() };
    assert!(render_event(&event).contains("a\\nb"));
}

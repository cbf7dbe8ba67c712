//! Ranges: what is read, what is refused, and that text reads back equal.

use proptest::prelude::*;
use serde::Deserialize;

use super::{CountRange, DurationRange, RatioRange};
use crate::ratio::Ratio;

#[test]
fn durations_are_read_in_every_unit() {
    let cases = [
        ("0", 0, 0),
        ("0s", 0, 0),
        ("7ns", 7, 7),
        ("10us..50ms", 10_000, 50_000_000),
        ("1ms", 1_000_000, 1_000_000),
        ("2 s", 2_000_000_000, 2_000_000_000),
        ("0..1us", 0, 1_000),
        (" 1us .. 2us ", 1_000, 2_000),
        ("18446744073709551615ns", u64::MAX, u64::MAX),
    ];
    for (text, min_ns, max_ns) in cases {
        assert_eq!(text.parse(), Ok(DurationRange { min_ns, max_ns }), "{text}");
    }
}

#[test]
fn durations_are_written_in_the_largest_exact_unit() {
    let cases = ["0", "999ns", "1us", "1500us", "2s", "0..50ms", "1ns..18446744073709551615ns"];
    for text in cases {
        assert_eq!(text.parse::<DurationRange>().unwrap().to_string(), text);
    }
}

#[test]
fn malformed_durations_are_refused_with_a_reason_and_an_example() {
    let cases = [
        ("", "whole number"),
        ("ms", "whole number"),
        ("-1ms", "whole number"),
        ("10", "unit is missing"),
        ("1.5ms", "not a known unit"),
        ("1min", "not a known unit"),
        ("1ms..", "whole number"),
        ("5ms..1ms", "lower end comes first"),
        ("1ms...2ms", "whole number"),
        ("18446744073709551616ns", "too long"),
        ("18446744074s", "too long"),
    ];
    for (text, why) in cases {
        let message = text.parse::<DurationRange>().unwrap_err().to_string();
        assert!(message.contains(why), "{text}: {message}");
        assert!(message.contains("10us..50ms"), "{text}: {message}");
    }
}

#[test]
fn counts_are_read_and_malformed_ones_refused() {
    assert_eq!("1..200".parse(), Ok(CountRange { min: 1, max: 200 }));
    assert_eq!("3".parse(), Ok(CountRange::just(3)));
    assert_eq!("18446744073709551615".parse(), Ok(CountRange::just(u64::MAX)));
    let cases = [
        ("", "not a whole number"),
        ("..", "not a whole number"),
        ("a..b", "not a whole number"),
        ("-3", "not a whole number"),
        ("1_000", "not a whole number"),
        ("9..2", "lower end comes first"),
        ("18446744073709551616", "above 18446744073709551615"),
    ];
    for (text, why) in cases {
        let message = text.parse::<CountRange>().unwrap_err().to_string();
        assert!(message.contains(why), "{text}: {message}");
        assert!(message.contains("1..200"), "{text}: {message}");
    }
}

#[test]
fn ratio_ranges_are_read_and_malformed_ones_refused() {
    let range: RatioRange = "1/1000..1/10".parse().unwrap();
    assert_eq!((range.min, range.max), (Ratio::new(1, 1000), Ratio::new(1, 10)));
    assert_eq!("1/100".parse(), Ok(RatioRange::just(Ratio::new(1, 100))));
    for (text, why) in [("1/10..1/1000", "lower end comes first"), ("0..2", "above 1")] {
        let message = text.parse::<RatioRange>().unwrap_err().to_string();
        assert!(message.contains(why), "{text}: {message}");
    }
}

#[test]
fn toml_integers_stand_for_their_text() {
    #[derive(Deserialize)]
    struct All {
        ratio: RatioRange,
        duration: DurationRange,
        count: CountRange,
    }
    let all: All = toml::from_str("ratio = 1\nduration = 0\ncount = 12").unwrap();
    assert_eq!(all.ratio, RatioRange::just(Ratio::ALWAYS));
    assert_eq!(all.duration, DurationRange::ZERO);
    assert_eq!(all.count, CountRange::just(12));
    for bad in ["count = -1", "count = 1.5", "count = true", "count = [1, 2]"] {
        let text = format!("ratio = 1\nduration = 0\n{bad}");
        assert!(toml::from_str::<All>(&text).is_err(), "{bad}");
    }
}

#[test]
fn a_span_counts_both_ends_and_does_not_overflow() {
    assert_eq!(CountRange::new(4, 12).span(), 9);
    assert_eq!(DurationRange::just(5).span(), 1);
    assert_eq!(CountRange::new(0, u64::MAX).span(), u64::MAX);
}

proptest! {
    #[test]
    fn text_reads_back_equal(a: u64, b: u64, c in 1..=u32::MAX, d in 1..=u32::MAX) {
        let (min, max) = (a.min(b), a.max(b));
        let count = CountRange { min, max };
        prop_assert_eq!(count.to_string().parse(), Ok(count));
        let duration = DurationRange { min_ns: min, max_ns: max };
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        let (c, d) = (Ratio::new(1, c), Ratio::new(d - 1, d));
        let ratio = RatioRange { min: c.min(d), max: c.max(d) };
        prop_assert_eq!(ratio.to_string().parse(), Ok(ratio));
    }

    #[test]
    fn arbitrary_text_never_panics(text: String, near in "[0-9nums/. ]{0,24}") {
        for text in [text, near] {
            let _ = text.parse::<RatioRange>();
            let _ = text.parse::<DurationRange>();
            let _ = text.parse::<CountRange>();
        }
    }
}

//! Histograms against sorted vectors, and the stall that a closed loop hides.

use proptest::prelude::*;
use seedbed_measure::latency::{COUNT_MAX, LATENCY_NS_MAX};
use seedbed_measure::{Latencies, Percentile, Summary};

fn recorded(values: &[u64]) -> Latencies {
    let mut latencies = Latencies::new();
    values.iter().for_each(|value| latencies.record(*value));
    latencies
}

/// The value of rank ⌈n × per mille / 1000⌉ of a sorted vector.
fn exact(sorted: &[u64], percentile: Percentile) -> u64 {
    let rank = (sorted.len() as u64 * percentile.per_mille()).div_ceil(1000);
    sorted[rank as usize - 1]
}

fn values() -> impl Strategy<Value = Vec<u64>> {
    // From nanoseconds to beyond the limit, evenly by magnitude.
    let value = (0_u32..43, any::<u64>()).prop_map(|(bits, value)| value & ((1 << bits) - 1));
    prop::collection::vec(value, 1..400)
}

proptest! {
    #[test]
    fn percentiles_are_those_of_the_sorted_values(values in values()) {
        let latencies = recorded(&values);
        let mut sorted: Vec<u64> = values.iter().map(|v| (*v).min(LATENCY_NS_MAX)).collect();
        sorted.sort_unstable();
        for percentile in Percentile::ALL {
            let (found, exact) = (latencies.percentile_ns(percentile), exact(&sorted, percentile));
            prop_assert!(found >= exact && found - exact <= exact / 1000, "{found} for {exact}");
        }
        let mean = sorted.iter().map(|v| u128::from(*v)).sum::<u128>() / sorted.len() as u128;
        let off = (latencies.mean_ns() as f64 - mean as f64).abs();
        prop_assert!(off <= mean as f64 / 1000.0 + 1.0, "{} for {mean}", latencies.mean_ns());
        prop_assert_eq!(latencies.max_ns(), sorted[sorted.len() - 1]);
        prop_assert_eq!(latencies.count(), sorted.len() as u64);
        prop_assert!(latencies.summary().is_plausible());
    }

    #[test]
    fn parts_are_those_of_the_sorted_values(values in values(), part in 0_u32..=64) {
        let latencies = recorded(&values);
        let mut sorted: Vec<u64> = values.iter().map(|v| (*v).min(LATENCY_NS_MAX)).collect();
        sorted.sort_unstable();
        // A 64th is exact in a float, so the rank is as well.
        let rank = (sorted.len() * part as usize).div_ceil(64).max(1);
        let (found, exact) = (latencies.part_ns(f64::from(part) / 64.0), sorted[rank - 1]);
        prop_assert!(found >= exact && found - exact <= exact / 1000, "{found} for {exact}");
        prop_assert_eq!(Latencies::new().part_ns(0.5), 0);
    }

    #[test]
    fn merging_is_recording_all_in_one(left in values(), right in values()) {
        let mut merged = recorded(&left);
        merged.merge(&recorded(&right));
        let all: Vec<u64> = left.into_iter().chain(right).collect();
        prop_assert_eq!(merged.summary(), recorded(&all).summary());
        prop_assert_eq!(merged.curve(), recorded(&all).curve());
    }

    #[test]
    fn a_correction_adds_what_was_held_back(latency in 0_u64..100_000, expected in 11_u64..2000) {
        let mut corrected = Latencies::new();
        corrected.record_closed(latency, expected);
        let held_back = (1..).map(|n| latency.saturating_sub(n * expected));
        let held_back = held_back.take_while(|late| *late >= expected);
        let all: Vec<u64> = [latency].into_iter().chain(held_back).collect();
        prop_assert_eq!(corrected.summary(), recorded(&all).summary());
    }

    #[test]
    fn a_curve_rises_to_the_slowest(values in values()) {
        let latencies = recorded(&values);
        let curve = latencies.curve();
        prop_assert!(curve.len() < 500, "{} points", curve.len());
        let rises = curve
            .is_sorted_by(|a, b| a.value_ns < b.value_ns && a.percentile < b.percentile);
        prop_assert!(rises, "{curve:?}");
        let last = curve[curve.len() - 1];
        prop_assert_eq!((last.percentile, last.value_ns), (100.0, latencies.max_ns()));
    }
}

/// 10,000 requests of 1 ms each, one every 10 ms, and in their midst the server stops for 10 s.
fn with_a_stall(record: impl Fn(&mut Latencies, u64)) -> Latencies {
    let mut latencies = Latencies::new();
    for request in 0..10_000 {
        record(&mut latencies, if request == 5000 { 10_000_000_000 } else { 1_000_000 });
    }
    latencies
}

#[test]
fn a_corrected_closed_loop_shows_the_stall() {
    let summary = with_a_stall(|latencies, ns| latencies.record_closed(ns, 10_000_000)).summary();
    // In the 10 s, 1000 requests would have come: 9 % of all, waiting 5 s on average.
    assert_eq!(summary.count, 10_999);
    assert!(summary.p95_ns > 4_000_000_000, "{summary:?}");
    assert!(summary.p99_ns > 8_000_000_000, "{summary:?}");
}

#[test]
fn an_uncorrected_closed_loop_hides_the_stall() {
    let summary = with_a_stall(Latencies::record).summary();
    assert!(summary.p999_ns < 1_002_000, "{summary:?}");
    // Without an expected interval there is no correction.
    assert_eq!(with_a_stall(|latencies, ns| latencies.record_closed(ns, 0)).summary(), summary);
}

#[test]
fn an_hour_held_back_by_nanoseconds_is_corrected_in_few_steps() {
    let mut latencies = Latencies::new();
    latencies.record_closed(u64::MAX, 1);
    let summary = latencies.summary();
    assert_eq!((summary.count, summary.max_ns), (LATENCY_NS_MAX, LATENCY_NS_MAX));
    let half = LATENCY_NS_MAX / 2;
    assert!(summary.p50_ns.abs_diff(half) < half / 500, "{summary:?}");
}

#[test]
fn counts_stop_at_their_limit_and_nothing_panics() {
    let mut latencies = Latencies::new();
    latencies.record_closed(u64::MAX, 1);
    for _ in 0..12 {
        let copy = latencies.clone();
        latencies.merge(&copy);
    }
    assert_eq!(latencies.count(), COUNT_MAX);
    latencies.record(5);
    assert_eq!(latencies.count(), COUNT_MAX);
    assert!(latencies.summary().is_plausible());
}

#[test]
fn nothing_recorded_is_all_zeros() {
    assert_eq!(Latencies::new().summary(), Summary::default());
    assert_eq!(Latencies::new().curve(), []);
    let mut latencies = Latencies::new();
    latencies.merge(&Latencies::new());
    assert!(latencies.summary().is_plausible());
}

#[test]
fn a_summary_goes_through_json() {
    let summary = recorded(&[1, 1000, 2_000_000]).summary();
    let json = serde_json::to_string(&summary).unwrap();
    assert!(json.contains("\"p999_ns\":2000000"), "{json}");
    assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
    assert_eq!((summary.beyond(Percentile::P50), summary.beyond(Percentile::P99)), (1, 0));
}

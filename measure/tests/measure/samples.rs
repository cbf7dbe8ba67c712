//! Robust numbers against their definitions, and how often intervals hold the truth.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use seedbed_measure::Resampling;
use seedbed_measure::sample::{PairMeans, centre, log_ratios, median, robust_deviation};

use crate::machine::normal;

proptest! {
    #[test]
    fn the_centre_of_a_resample_is_that_of_its_values(
        drawn in prop::collection::vec((-1e3_f64..1e3, 0_u32..4), 1..20)
    ) {
        let values: Vec<f64> = drawn.iter().map(|(value, _)| *value).collect();
        let counts: Vec<u32> = drawn.iter().map(|(_, count)| *count).collect();
        let repeated = |(value, count): &(f64, u32)| vec![*value; *count as usize];
        let resample: Vec<f64> = drawn.iter().flat_map(repeated).collect();
        let mut means = Vec::new();
        for (i, first) in resample.iter().enumerate() {
            means.extend(resample[i..].iter().map(|second| f64::midpoint(*first, *second)));
        }
        prop_assert_eq!(PairMeans::new(&values).centre(&counts), median(&means));
    }
}

#[test]
fn medians_are_in_the_middle() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(centre(&[]), None);
}

#[test]
fn a_quarter_of_stalls_does_not_carry_the_centre_away() {
    let values: Vec<f64> = (0..100).map(|i| if i % 4 == 0 { 0.7 } else { 0.0 }).collect();
    assert!(centre(&values).unwrap() < 0.01);
    assert!(robust_deviation(&values) < 0.01);
    let mean = values.iter().sum::<f64>() / 100.0;
    assert!(mean > 0.17, "the mean is carried away: {mean}");
}

#[test]
fn what_going_second_costs_cancels_where_each_side_goes_second_as_often() {
    // Log times: whoever goes second loses 0.05, and each run 0.01 on the one before.
    let runs: Vec<f64> =
        (0..40).map(|run| 0.01 * f64::from(run) + 0.05 * f64::from(run % 2)).collect();
    let times: Vec<f64> = runs.iter().map(|log| log.exp()).collect();
    let sides = |swap: fn(usize) -> bool| -> (Vec<f64>, Vec<f64>) {
        let rounds = times.chunks_exact(2).enumerate();
        rounds.map(|(n, run)| if swap(n) { (run[1], run[0]) } else { (run[0], run[1]) }).unzip()
    };
    let (before, after) = sides(|round| round % 2 == 1);
    let balanced = centre(&log_ratios(&before, &after)).unwrap();
    assert!(balanced.abs() < 1e-9, "{balanced}");
    let (before, after) = sides(|_| false);
    let fixed = centre(&log_ratios(&before, &after)).unwrap();
    assert!(fixed > 0.05, "always second: {fixed}");
}

#[test]
fn same_values_and_seed_same_interval() {
    let values: Vec<f64> = (0..12).map(|i| f64::from(i * i % 7)).collect();
    let resampling = Resampling { resamples: 2000, seed: 5 };
    let interval = resampling.interval(&values, 0.95).unwrap();
    assert_eq!(resampling.interval(&values, 0.95), Some(interval));
    let other = Resampling { seed: 6, ..resampling }.interval(&values, 0.95).unwrap();
    assert_eq!(other.estimate, interval.estimate);
    assert!(interval.low < interval.estimate && interval.estimate < interval.high);
    let wider = resampling.interval(&values, 0.99).unwrap();
    assert!(wider.low <= interval.low && interval.high <= wider.high);
}

#[test]
fn too_few_values_or_odd_ones_give_no_interval() {
    let resampling = Resampling::default();
    assert_eq!(resampling.interval(&[1.0; 11], 0.95), None);
    assert_eq!(resampling.interval(&[[1.0; 12], [f64::NAN; 12]].concat(), 0.95), None);
    assert_eq!(resampling.interval(&[0.0; 1001], 0.95), None);
    assert_eq!(resampling.interval_apart(&[1.0; 12], &[1.0; 11], 0.95), None);
    let equal = resampling.interval(&[2.0; 12], 0.95).unwrap();
    assert_eq!((equal.low, equal.estimate, equal.high), (2.0, 2.0, 2.0));
}

/// Of 1000 samples, how many intervals hold 0, the truth.
fn holding(rounds: usize, confidence: f64, noise: impl Fn(&mut ChaCha8Rng) -> f64) -> usize {
    let mut random = ChaCha8Rng::seed_from_u64(rounds as u64);
    let resampling = Resampling { resamples: 1000, seed: 1 };
    let holds = |_: &usize| {
        let values: Vec<f64> = (0..rounds).map(|_| noise(&mut random)).collect();
        let interval = resampling.interval(&values, confidence).unwrap();
        interval.low <= 0.0 && 0.0 <= interval.high
    };
    (0..1000).filter(holds).count()
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let stalls = |random: &mut ChaCha8Rng| {
        let (noise, stall) = (normal(random), normal(random));
        noise + if stall > 1.6 { 20.0 } else { 0.0 } - if stall < -1.6 { 20.0 } else { 0.0 }
    };
    for rounds in [12, 20, 40] {
        let (clean, stalled) = (holding(rounds, 0.95, normal), holding(rounds, 0.95, stalls));
        // 950 expected, give or take 7 (one standard deviation).
        assert!((930..=985).contains(&clean), "{rounds} rounds: {clean} of 1000");
        assert!(stalled >= 930, "{rounds} rounds with stalls: {stalled} of 1000");
    }
}

//! Drawing: zero is benign, the other end has everything, and the order of decisions is fixed.

use proptest::prelude::*;

use crate::{CountRange, DurationRange, Faults, Plan, Ratio, RatioRange, presets};

/// Draws with one answer for all, and gives what was asked.
fn draw(plan: &Plan, answer: impl Fn(u64) -> u64) -> (Faults, Vec<(&'static str, u64)>) {
    let mut asked = Vec::new();
    let faults = plan.draw(&mut |label, bound| {
        asked.push((label, bound));
        answer(bound)
    });
    (faults, asked)
}

fn range(text: &str) -> RatioRange {
    text.parse().unwrap()
}

#[test]
fn a_plan_without_faults_draws_nothing_and_gives_none() {
    for swarm in [false, true] {
        let plan = Plan { swarm, ..Plan::default() };
        let (faults, asked) = draw(&plan, |bound| bound - 1);
        assert_eq!(faults, Faults::default());
        assert_eq!(asked, []);
    }
}

#[test]
fn zeros_give_a_world_without_fault_kinds_in_every_swarmed_preset() {
    let swarmed = presets().map(|preset| Plan::preset(preset.name).unwrap()).filter(|p| p.swarm);
    let mut seen = 0;
    for plan in swarmed {
        let (faults, _) = draw(&plan, |_| 0);
        assert_eq!(faults.kinds_on(), [""; 0], "{}", plan.name);
        assert_eq!(faults.node.crash_count, plan.node.crash_count.min, "{}", plan.name);
        seen += 1;
    }
    assert!(seen >= 2);
}

/// A plan that uses the whole vocabulary.
fn everything() -> Plan {
    let mut plan = Plan::preset("rough").unwrap();
    plan.disk.capacity_bytes = CountRange::new(4096, 65536);
    plan.disk.capacity_files = CountRange::new(16, 64);
    plan.device = Plan::preset("media").unwrap().device;
    plan.device.media_fault_max = CountRange::new(0, 2);
    plan.device.lying_sync_probability = range("1/100..1/10");
    plan.device.stall_probability = range("1/100..1/10");
    plan.device.slow_sync_probability = range("1/100..1/10");
    plan.device.hang_probability = range("1/100..1/10");
    plan.device.bytes_per_second = CountRange::new(1000, 2000);
    plan.device.queue_depth = CountRange::new(1, 4);
    plan.net = Plan::preset("net").unwrap().net;
    plan
}

#[test]
fn highest_answers_switch_every_kind_on_at_its_worst() {
    let plan = everything();
    let (faults, _) = draw(&plan, |bound| bound - 1);
    let all = [
        "read_error",
        "write_error",
        "sync_error",
        "metadata_error",
        "no_space",
        "short_read",
        "short_write",
        "torn_page",
        "background",
        "writeback_error",
        "shutdown",
        "capacity",
        "capacity_files",
        "recovery_crash",
        "offset",
        "drift",
        "step",
        "pause",
        "lying_sync",
        "bit_rot",
        "latent_error",
        "garbage",
        "lost_write",
        "misdirected_write",
        "stale_read",
        "misdirected_read",
        "stall",
        "slow_sync",
        "hang",
        "bytes_per_second",
        "queue_depth",
        "net_drop",
        "net_duplicate",
        "net_reorder",
        "net_clog",
        "net_partition",
        "net_swizzle",
        "connect_failure",
        "connect_hang",
        "net_short_read",
        "net_short_write",
        "net_reset",
    ];
    assert_eq!(faults.kinds_on(), all);
    assert_eq!(faults.disk.read_error_probability, plan.disk.read_error_probability.max);
    assert_eq!(faults.node.power_loss_probability, plan.node.power_loss_probability.max);
    assert_eq!(faults.clock.offset_ns, plan.clock.offset.max_ns);
    assert_eq!(faults.clock.drift_ppm, plan.clock.drift_ppm.max);
    assert_eq!(faults.disk.capacity_bytes, 4096);
    assert_eq!((faults.device.media_fault_max, faults.device.queue_depth), (2, 1));
    assert_eq!(faults.net.drop_probability, plan.net.drop_probability.max);
    assert!(!faults.net.is_quiet() && faults.net.healed().is_quiet());
}

#[test]
fn the_same_answers_give_the_same_world_and_the_same_questions() {
    let plan = everything();
    assert_eq!(draw(&plan, |bound| bound / 2), draw(&plan, |bound| bound / 2));
    assert_ne!(draw(&plan, |bound| bound / 2).0, draw(&plan, |bound| bound - 1).0);
}

#[test]
fn a_kind_asks_swarm_then_rate_and_only_what_is_open() {
    let mut plan = Plan::default();
    plan.disk.read_error_probability = range("1/100..1/10");
    plan.disk.sync_error_probability = range("1/2");
    let (read, sync) = (("swarm.read_error", 2), ("swarm.sync_error", 2));
    assert_eq!(draw(&plan, |_| 0).1, [("rate.read_error", 10)]);
    plan.swarm = true;
    assert_eq!(draw(&plan, |_| 0).1, [read, sync]);
    assert_eq!(draw(&plan, |bound| bound - 1).1, [read, ("rate.read_error", 10), sync]);
}

#[test]
fn crashes_and_latencies_are_not_swarmed() {
    let mut plan = Plan { swarm: true, ..Plan::default() };
    plan.node.crash_count = CountRange::new(4, 12);
    plan.node.power_loss_probability = range("1/4..3/4");
    let (faults, asked) = draw(&plan, |bound| bound - 1);
    assert_eq!(asked, [("rate.crash_count", 9), ("rate.power_loss", 3)]);
    assert_eq!(faults.node.crash_count, 12);
    assert_eq!(faults.disk.sync_latency, plan.disk.sync_latency);
}

#[test]
fn rates_step_evenly_over_a_common_denominator() {
    let mut plan = Plan::default();
    plan.disk.read_error_probability = range("1/6..1/4");
    let rate = |value: u64| draw(&plan, |_| value).0.disk.read_error_probability;
    assert_eq!(draw(&plan, |_| 0).1, [("rate.read_error", 2)]);
    assert_eq!((rate(0), rate(1)), (Ratio::new(1, 6), Ratio::new(1, 4)));
}

#[test]
fn a_larger_disk_is_more_benign_and_unlimited_is_the_most() {
    let capacity = |text: &str, value: u64| {
        let mut plan = Plan::default();
        plan.disk.capacity_bytes = text.parse().unwrap();
        draw(&plan, |_| value).0.disk.capacity_bytes
    };
    let of = |text: &str| [0, 1, 2].map(|value| capacity(text, value));
    assert_eq!(of("10..12"), [12, 11, 10]);
    assert_eq!(of("0..2"), [0, 2, 1]);
    assert_eq!(capacity("7", 0), 7);
}

#[test]
#[should_panic(expected = "below its bound")]
fn an_answer_beyond_its_bound_is_a_mistake_of_the_caller() {
    let _ = draw(&everything(), |bound| bound);
}

proptest! {
    /// Also with denominators whose common one does not fit: `min` first, `max` last, ordered.
    #[test]
    fn every_rate_lies_in_its_range(
        a in 1..=u32::MAX, b in 1..=u32::MAX, c: u32, d: u32, share in 0u64..=100,
    ) {
        let (a, b) = (Ratio::new(c % a, a), Ratio::new(d % b, b));
        let range = RatioRange { min: a.min(b), max: a.max(b) };
        let mut plan = Plan::default();
        plan.disk.read_error_probability = range;
        let rate = |answer: &dyn Fn(u64) -> u64| draw(&plan, answer).0.disk.read_error_probability;
        let between = rate(&|bound| (bound - 1) / 100 * share);
        prop_assert_eq!(rate(&|_| 0), range.min);
        prop_assert_eq!(rate(&|bound| bound - 1), range.max);
        // Rounding is downwards, by less than one step of the denominator.
        let (numerator, denominator) = (between.numerator(), between.denominator());
        let above = Ratio::new(numerator.saturating_add(1).min(denominator), denominator);
        prop_assert!(above >= range.min);
        prop_assert!(between <= range.max);
    }

    #[test]
    fn wide_ranges_do_not_overflow(a: u64, b: u64) {
        let mut plan = Plan::default();
        let (min, max) = (a.min(b), a.max(b));
        plan.clock.offset = DurationRange { min_ns: min, max_ns: max };
        plan.disk.capacity_bytes = CountRange { min, max };
        let (faults, _) = draw(&plan, |bound| bound - 1);
        prop_assert!((min..=max).contains(&faults.clock.offset_ns));
        prop_assert!((min..=max).contains(&faults.disk.capacity_bytes));
    }
}

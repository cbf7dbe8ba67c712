//! The page: which sections it has, that it stands alone, and that nothing odd gets out of it.
//! Figures in here are made up.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use roxmltree::{Document, Node, ParsingOptions};
use seedbed_hardware::allocations::Allocations;
use seedbed_hardware::bench::{Class, Disk};
use seedbed_hardware::{Ended, Machine, Round, Workload};
use seedbed_measure::latency::Bucket;
use seedbed_measure::{Gate, Latencies, Metric, Percentile, Summary, Thresholds};

use super::groups::{self, Dimension};
use super::overhead::{Crossing, crossings};
use super::scale::Scale;
use super::{Overhead, Page, Prediction, STYLE, units};
use crate::bench::Done;
use crate::bench::compare::Compared;
use crate::bench::measure::Measured;

const HOSTILE: &str = "<script>alert('&amp;\"')</script>{{body}}";

fn round(operations: u64, elapsed_ns: u64, p50_ns: u64) -> Round {
    let latency = Summary {
        count: operations,
        mean_ns: p50_ns,
        p50_ns,
        p95_ns: p50_ns.saturating_mul(2),
        p99_ns: p50_ns.saturating_mul(4),
        p999_ns: p50_ns.saturating_mul(8),
        max_ns: p50_ns.saturating_mul(9),
    };
    Round {
        operations,
        elapsed_ns,
        latency,
        seen: latency,
        late_max_ns: 0,
        pools_busy: None,
        disk: Disk { writes: 9, written_bytes: operations.saturating_mul(1100), ..Disk::default() },
        allocations: Allocations::default(),
    }
}

/// As in [`round`].
fn latencies(rounds: &[Round]) -> Latencies {
    let mut latencies = Latencies::new();
    for Round {
        operations,
        latency: Summary { p50_ns, p95_ns, p99_ns, p999_ns, max_ns, .. },
        ..
    } in rounds
    {
        let parts = [(*p50_ns, 500), (*p95_ns, 450), (*p99_ns, 40), (*p999_ns, 9), (*max_ns, 1)];
        let part = |(ns, part)| Bucket { ns, count: operations / 1000 * part };
        latencies.add_buckets(&parts.map(part));
    }
    latencies
}

fn measured(p50_ns: u64, rounds: usize) -> Measured {
    let class = |cpu_ns| Class { operations: 1, cpu_ns };
    let classes = [("log task", 4_000_000), ("disk", 6_000_000), ("other", 2_000_000)];
    let round = |nth: usize| {
        let mut round = round(2000, 1_000_000_000 + nth as u64 * 1_000_000, p50_ns);
        round.disk.syncs = 500;
        round
    };
    let rounds: Vec<Round> = (0..rounds).map(round).collect();
    Measured {
        latencies: latencies(&rounds),
        rounds,
        ended: Ended {
            checked: 1234,
            threads: BTreeMap::from([("thread 0".to_owned(), 13_000_000)]),
            classes: classes.map(|(name, ns)| (name.to_owned(), class(ns))).into(),
            peak_memory: 1 << 25,
        },
        exact: Default::default(),
    }
}

fn done(durability: &str, clients: u32, window: u32) -> Done {
    let durability = durability.parse().expect("a mode");
    let workload = Workload { durability, clients, window, ..Workload::default() };
    let p50_ns = 100_000 * u64::from(clients) * u64::from(window);
    Done { workload, measured: measured(p50_ns, 12), compared: None }
}

/// A grid, the way `bench` has it.
fn grid() -> Vec<Done> {
    let group = [(1, 1), (8, 1), (64, 1), (1, 64), (1, 8)];
    let modes = ["immediate", "async_sync"];
    let all = group.map(|(clients, window)| done("group", clients, window)).into_iter();
    all.chain(modes.map(|mode| done(mode, 1, 1))).collect()
}

fn page<'a>(done: &'a [Done], machine: &'a Machine) -> Page<'a> {
    Page {
        engine: "atomic_commit",
        machine,
        taken: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        done,
        wanted: done.len(),
        wrong: None,
        thresholds: Thresholds::default(),
        predictions: None,
        overhead: None,
    }
}

fn compared(with: &str, before_ns: u64, after_ns: u64) -> Compared {
    let plain = |ns: u64| {
        let one = |nth| {
            let latency = round(2000, 1_000_000_000, ns).latency;
            seedbed_measure::Round { operations: 2000, elapsed_ns: ns * 2000 + nth, latency }
        };
        (0..12).map(one).collect::<Vec<_>>()
    };
    let judged = Gate::default().judge_apart(&plain(before_ns), &plain(after_ns));
    let exact = |syncs| (2000, BTreeMap::from([("syncs".to_owned(), syncs)]));
    Compared::of(with, judged.expect("can be judged"), (&exact(500), &exact(700)))
}

fn prediction(workload: &str, metric: Metric, predicted: f64, measured: Option<f64>) -> Prediction {
    Prediction { workload: workload.to_owned(), metric, predicted, measured }
}

fn overhead() -> Overhead {
    Overhead {
        baselines: vec![("bare <files>".to_owned(), 100.0), ("a queue".to_owned(), 20.0)],
        points: vec![(1.0, 400.0), (10.0, 120.0), (100.0, 80.0), (1000.0, 60.0)],
    }
}

/// A page as XML, or a panic that says where it is none.
fn parsed(text: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).expect("well-formed")
}

fn named<'a>(document: &'a Document<'_>, tag: &'a str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name(tag)).collect()
}

fn text_of(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
}

fn sections(document: &Document<'_>) -> Vec<String> {
    let ids = named(document, "section");
    ids.iter().filter_map(|section| section.attribute("id").map(str::to_owned)).collect()
}

/// Everything that a page promises whatever is in it.
#[track_caller]
fn check(text: &str) {
    let document = parsed(text);
    for outside in ["http:", "https:", "url(", "@import", "<script", "<link", "<img", "src="] {
        assert!(!text.contains(outside), "{outside} in the page");
    }
    for odd in ["NaN", "inf", "-0\"", ">-0<"] {
        assert!(!text.contains(odd), "{odd} in the page");
    }
    for chart in named(&document, "svg") {
        let size = chart.attribute("viewBox").expect("a size").split(' ');
        let size: Vec<f64> = size.map(|number| number.parse().unwrap()).collect();
        inside(chart, (size[2], size[3]));
    }
}

/// All coordinates of a chart are numbers inside it, but for a marker's edge.
fn inside(chart: Node<'_, '_>, (width, height): (f64, f64)) {
    let room = 12.0;
    let is_good = |number: &str, most: f64| {
        number.parse::<f64>().is_ok_and(|number| (-room..=most + room).contains(&number))
    };
    for node in chart.descendants().filter(Node::is_element) {
        for attribute in node.attributes() {
            let value = attribute.value();
            let good = match attribute.name() {
                "x" | "x1" | "x2" | "cx" | "width" => is_good(value, width),
                "y" | "y1" | "y2" | "cy" | "height" | "r" => is_good(value, height),
                "points" => value.split(' ').all(|point| {
                    let point = point.split_once(',');
                    point.is_some_and(|(x, y)| is_good(x, width) && is_good(y, height))
                }),
                _ => true,
            };
            assert!(good, "{}={value:?} in {width} x {height}", attribute.name());
        }
    }
}

#[test]
fn a_page_with_everything_has_all_sections_in_order() {
    let mut all = grid();
    all[0].compared = Some(compared("main", 100_000, 200_000));
    let machine = Machine { cpu: "a processor".to_owned(), cores: 2, ..Machine::default() };
    let rate = prediction("group, 1 x 1", Metric::Throughput, 110.0, Some(100.0));
    let predictions = Some(vec![rate]);
    let text = Page { predictions, overhead: Some(overhead()), ..page(&all, &machine) }.text();
    check(&text);
    let document = parsed(&text);
    let titles = named(&document, "figcaption").into_iter().map(text_of);
    let all = [sections(&document), titles.collect()].concat().join("\n");
    insta::assert_snapshot!(all, @r"
    latency
    throughput
    overhead
    costs
    comparison
    predicted
    figures
    By durability 1 client, window 1, 1 KiB
    By clients group, window 1, 1 KiB
    By window group, 1 client, 1 KiB
    Over clients group, window 1, 1 KiB
    Over what is under way at once group, 1 client, 1 KiB
    By durability 1 client, window 1, 1 KiB
    Overhead over what is in flight
    CPU time by class all threads, system calls included
    Syncs medians of the rounds
    Written medians of the rounds
    Throughput
    Latency, P50
    Latency, P95
    Latency, P99
    Throughput off by 10 % in the middle, 10 % at worst
    ");
    let told = ["2023-11-14 22:13:20 UTC", "8 638 keys", "regressed: ", "+10 %"];
    for words in told.into_iter().chain(["without noise: syncs"]) {
        assert!(text_of(document.root()).contains(words), "no {words:?}");
    }
}

#[test]
fn a_section_without_data_is_left_out() {
    let machine = Machine::default();
    let none = page(&[], &machine).text();
    check(&none);
    assert!(sections(&parsed(&none)).is_empty());
    assert!(!none.contains("checked"));
    let all = grid();
    let usual = page(&all, &machine).text();
    assert_eq!(sections(&parsed(&usual)), ["latency", "throughput", "costs", "figures"]);
    let one = [done("none", 1, 1)];
    let one = page(&one, &machine).text();
    check(&one);
    assert_eq!(sections(&parsed(&one)), ["latency", "costs", "figures"]);
    let predictions = vec![prediction("w", Metric::Latency(Percentile::P99), 2e6, None)];
    let only = Page { predictions: Some(predictions), ..page(&[], &machine) }.text();
    check(&only);
    assert_eq!(sections(&parsed(&only)), ["predicted"]);
    let empty = Overhead { baselines: Vec::new(), points: vec![(1.0, 1.0)] };
    let empty = Page { overhead: Some(empty), ..page(&[], &machine) }.text();
    assert!(sections(&parsed(&empty)).is_empty());
}

#[test]
fn text_from_outside_stays_text() {
    let machine =
        Machine { cpu: HOSTILE.to_owned(), mount: HOSTILE.to_owned(), ..Machine::default() };
    let mut all = grid();
    let mut hostile = compared(HOSTILE, 100_000, 100_000);
    hostile.warnings.push(HOSTILE.to_owned());
    all[1].compared = Some(hostile);
    let classes = &mut all[0].measured.ended.classes;
    classes.insert(HOSTILE.to_owned(), Class { operations: 1, cpu_ns: 9_000_000 });
    let page = Page {
        engine: HOSTILE,
        wrong: Some(HOSTILE.to_owned()),
        predictions: Some(vec![prediction(HOSTILE, Metric::Throughput, 1.0, Some(2.0))]),
        overhead: Some(Overhead { baselines: vec![(HOSTILE.to_owned(), 9.0)], ..overhead() }),
        ..page(&all, &machine)
    };
    let text = page.text();
    check(&text);
    let document = parsed(&text);
    assert!(named(&document, "script").is_empty());
    assert_eq!(named(&document, "body").len(), 1);
    assert_eq!(named(&document, "main").len(), 1, "nothing was put in twice");
    let whole = text_of(document.root());
    // Heading, machine (twice), verdict, class, warning, prediction, overhead.
    assert!(whole.matches(HOSTILE).count() >= 8, "{}", whole.matches(HOSTILE).count());
}

#[test]
fn the_same_input_gives_the_same_page() {
    let (all, machine) = (grid(), Machine::default());
    let one = || Page { overhead: Some(overhead()), ..page(&all, &machine) }.text();
    assert_eq!(one(), one());
}

#[test]
fn absurd_values_give_a_page_that_is_sound() {
    let machine = Machine { load: 1e6, ..Machine::default() };
    let with = |rounds: Vec<Round>, checked| Done {
        workload: Workload::default(),
        measured: Measured {
            latencies: latencies(&rounds),
            rounds,
            ended: Ended { checked, ..Ended::default() },
            exact: Default::default(),
        },
        compared: None,
    };
    let bare = round(0, 0, 0);
    let huge = round(u64::MAX, 1, u64::MAX);
    for rounds in [
        vec![],
        vec![bare.clone()],
        vec![round(1, 1, 1)],
        vec![huge.clone()],
        vec![bare, huge, round(1, u64::MAX, 1)],
    ] {
        let mut second = with(rounds.clone(), u64::MAX);
        second.workload.window = u32::MAX;
        second.measured.ended.threads.insert("t".to_owned(), u64::MAX);
        let huge = Class { operations: 0, cpu_ns: u64::MAX };
        second.measured.ended.classes.insert("c".to_owned(), huge);
        let mut third = with(rounds, u64::MAX);
        third.workload.durability = "none".parse().unwrap();
        check(&page(&[with(vec![], 0), second, third], &machine).text());
    }
    let odd = [0.0, -1.0, 1e-300, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut predictions = Vec::new();
    for predicted in odd {
        predictions.extend(
            odd.map(|measured| prediction("w", Metric::Throughput, predicted, Some(measured))),
        );
    }
    let baselines = odd.map(|ns| ("b".to_owned(), ns)).to_vec();
    let points = odd.iter().flat_map(|x| odd.map(|y| (*x, y))).collect();
    let odd = Page {
        predictions: Some(predictions),
        overhead: Some(Overhead { baselines, points }),
        ..page(&[], &machine)
    };
    check(&odd.text());
}

#[test]
fn a_run_that_was_cut_short_or_wrong_says_so() {
    let (all, machine) = (grid(), Machine::default());
    let said = |page: Page<'_>| text_of(parsed(&page.text()).root());
    assert!(!said(page(&all, &machine)).contains("interrupted"));
    assert!(!said(page(&all, &machine)).contains("busy"));
    let loaded = Machine { load: 8.25, cores: 8, ..Machine::default() };
    let busy = said(page(&all, &loaded));
    assert!(busy.contains("busy: when the run began, 8.2 processes wanted to run on 8"), "{busy}");
    let cut = said(Page { wanted: 9, ..page(&all, &machine) });
    assert!(cut.contains("interrupted: 7 of 9 workloads were measured"), "{cut}");
    let wrong = Some("group: key 3 is lost".to_owned());
    let wrong = said(Page { wanted: 9, wrong, ..page(&all, &machine) });
    assert!(wrong.contains("wrong: group: key 3 is lost"), "{wrong}");
    assert!(!wrong.contains("checked: ") && !wrong.contains("interrupted"), "{wrong}");
}

#[test]
fn every_workload_is_in_a_panel_and_none_has_too_many() {
    let mut all = grid();
    all.extend((2..40).map(|window| done("group", 3, window)));
    all.push(done("batch:7", 5, 5));
    let workloads: Vec<&Workload> = all.iter().map(|done| &done.workload).collect();
    let panels = groups::panels(&workloads);
    let mut shown: Vec<usize> = panels.iter().flatten().copied().collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown.len(), all.len());
    assert!(panels.iter().all(|panel| (1..=8).contains(&panel.len())), "{panels:?}");
    let clients = groups::groups(&workloads, Dimension::Clients);
    assert_eq!(clients[0].members, [0, 1, 2], "rising, and alike in all else");
}

#[test]
fn an_overhead_crosses_where_a_straight_line_on_logarithmic_axes_does() {
    let found = crossings(&[(1.0, 4.0), (100.0, 0.25), (10_000.0, 4.0)], 1.0);
    let [down, up] = found[..] else { panic!("{found:?}") };
    assert!((down.in_flight - 10.0).abs() < 1e-9 && down.is_falling, "{down:?}");
    assert!((up.in_flight - 1000.0).abs() < 1e-6 && !up.is_falling, "{up:?}");
    let touching = crossings(&[(1.0, 2.0), (8.0, 1.0), (64.0, 0.5)], 1.0);
    let [Crossing { in_flight, is_falling: true }] = touching[..] else { panic!("{touching:?}") };
    assert!((in_flight - 8.0).abs() < 1e-9, "once, where it touches: {in_flight}");
    assert!(crossings(&[(1.0, 2.0), (8.0, 1.5)], 1.1).is_empty());
    assert!(crossings(&[(1.0, 2.0)], 1.0).is_empty());
}

#[test]
fn crossings_are_marked_and_named() {
    let machine = Machine::default();
    let text = Page { overhead: Some(overhead()), ..page(&[], &machine) }.text();
    check(&text);
    let said = text_of(parsed(&text).root());
    for sentence in [
        "Over bare <files> it falls to +10 % at about 16 in flight.",
        "Over bare <files> it falls to 0 % at about 28 in flight.",
        "Over a queue it is above +10 % everywhere.",
    ] {
        assert!(said.contains(sentence), "no {sentence:?} in {said}");
    }
}

#[test]
fn scales_put_rising_values_at_rising_places() {
    let values = [1e-12, 0.5, 1.0, 3.0, 999.0, 1e12];
    for scale in [Scale::linear(values), Scale::log(values), Scale::bytes(values)] {
        let places: Vec<f64> = values.iter().map(|value| scale.place(*value)).collect();
        assert!(places.is_sorted() && places[0] >= 0.0 && places[5] <= 1.0, "{places:?}");
        let ticks = scale.ticks(6);
        assert!((2..=12).contains(&ticks.len()) && ticks.is_sorted(), "{ticks:?}");
    }
    let nines = Scale::nines(0.9999);
    let widths = [(0.0, 0.9), (0.9, 0.99), (0.99, 0.999), (0.999, 0.9999)];
    let widths = widths.map(|(from, to)| nines.place(to) - nines.place(from));
    assert!(widths.iter().all(|width| (width - 0.25).abs() < 1e-9), "{widths:?}");
}

#[test]
fn numbers_have_units_and_no_digits_that_mean_nothing() {
    let times = [0.0, 850.0, 12_345.0, 2e6, 3.5e9].map(units::time);
    assert_eq!(times, ["0 ns", "850 ns", "12.3 µs", "2.00 ms", "3.50 s"]);
    let bytes = [0.0, 1023.0, 1100.0, 70_000.0, 3e6].map(units::bytes);
    assert_eq!(bytes, ["0 B", "1023 B", "1.07 KiB", "68.4 KiB", "2.86 MiB"]);
    let counts = [0.0, 0.0312, 0.5, 12.34, 1_234_567.0].map(units::count);
    assert_eq!(counts, ["0", "0.0312", "0.50", "12.3", "1 234 567"]);
    let percents = [0.021, -0.5, 12.0].map(units::percent);
    assert_eq!(percents, ["+2.1 %", "−50 %", "+1200 %"]);
}

/// The luminance of a colour, as WCAG 2 defines it.
fn luminance(colour: &str) -> f64 {
    let channels = [1, 3, 5].map(|at| u8::from_str_radix(&colour[at..at + 2], 16).unwrap());
    let linear = channels.map(|channel| match f64::from(channel) / 255.0 {
        dark if dark <= 0.040_45 => dark / 12.92,
        light => ((light + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

#[test]
fn text_and_marks_stand_out_in_light_dark_and_print() {
    let blocks: Vec<&str> = STYLE.split(":root {").skip(1).collect();
    assert_eq!(blocks.len(), 3, "light, dark, print");
    for block in blocks {
        let block = block.split('}').next().unwrap();
        let pairs = block.split(';').filter_map(|line| line.trim().split_once(": "));
        let colours: BTreeMap<&str, String> = pairs
            .filter(|(name, value)| name.starts_with("--") && value.starts_with('#'))
            .map(|(name, value)| match value.len() {
                4 => (name, value.chars().skip(1).flat_map(|c| [c, c]).collect()),
                _ => (name, value[1..].to_owned()),
            })
            .map(|(name, value): (&str, String)| (name, format!("#{value}")))
            .collect();
        let contrast = |one: &str, other: &str| {
            let (one, other) = (luminance(&colours[one]), luminance(&colours[other]));
            (one.max(other) + 0.05) / (one.min(other) + 0.05)
        };
        // Text; and what stands in bars is as readable, so that bars stand out too.
        let on_card = ["--ink", "--soft", "--good", "--bad", "--doubt"];
        let series = (0..8).map(|nth| format!("--c{nth}"));
        for name in on_card.map(str::to_owned).into_iter().chain(series.clone()) {
            assert!(contrast(&name, "--card") >= 4.5, "{name}: {}", contrast(&name, "--card"));
        }
        for name in series.chain(["--rest".to_owned()]) {
            assert!(contrast(&name, "--on") >= 4.5, "{name}: {}", contrast(&name, "--on"));
        }
        for name in ["--good", "--bad", "--doubt"] {
            let behind = format!("{name}-bg");
            assert!(contrast(name, &behind) >= 4.5, "{name}: {}", contrast(name, &behind));
        }
        assert!(contrast("--soft", "--page") >= 4.5);
    }
}

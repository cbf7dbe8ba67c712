//! The headline, and the tables of figures.

use maud::{Markup, html};
use seedbed_hardware::{Engine, Machine, Workload};

use super::{Page, comparison, section, units};
use crate::bench::Done;
use crate::bench::report::{Middle, cpu_per_operation, percentiles};
use crate::tables::grouped;

/// How late operations of an open loop may begin before it is worth a word, in nanoseconds.
const LATE_NS: u64 = 5_000_000;

pub(super) fn head(page: &Page<'_>, done: &[&Done]) -> Markup {
    let Page { engine, machine, wanted, wrong, taken, .. } = page;
    let taken = humantime::format_rfc3339_seconds(*taken).to_string();
    let day = taken.replace('T', " ").replace('Z', " UTC");
    html! {
        header {
            p class="over" { "seedbed bench" }
            h1 { (engine) }
            (verdict(done, wrong.as_deref()))
            @if done.len() < *wanted && wrong.is_none() {
                p class="verdict doubt" {
                    span class="sign" aria-hidden="true" { "!" }
                    span {
                        b { "interrupted: " }
                        (done.len()) " of " (wanted) " workloads were measured"
                    }
                }
            }
            (regressions(done))
            (busy(machine))
            p class="machine" { (machine) }
            p class="machine" { (rounds(done)) time datetime=(taken) { (day) } }
            (tiles(done))
        }
    }
}

fn verdict(done: &[&Done], wrong: Option<&str>) -> Markup {
    let checked =
        done.iter().fold(0_u64, |sum, one| sum.saturating_add(one.measured.ended.checked));
    let is_sink = done.iter().any(|done| done.workload.engine == Engine::Sink);
    let what = if is_sink { "rows" } else { "keys" };
    match wrong {
        Some(why) => html! {
            p class="verdict bad" {
                span class="sign" aria-hidden="true" { "✗" }
                span { b { "wrong: " } (why) }
            }
        },
        None if done.is_empty() => html! {},
        None => html! {
            p class="verdict good" {
                span class="sign" aria-hidden="true" { "✓" }
                span {
                    b { "checked: " } (grouped(checked)) " " (what)
                    " are what was acknowledged, read back after the engine was closed and opened \
                     again"
                }
            }
        },
    }
}

fn regressions(done: &[&Done]) -> Markup {
    let compared: Vec<_> = done.iter().filter_map(|done| done.compared.as_ref()).collect();
    let regressed = compared.iter().filter(|compared| compared.is_regressed()).count();
    html! {
        @if regressed > 0 {
            p class="verdict bad" {
                span class="sign" aria-hidden="true" { "▼" }
                span {
                    b { "regressed: " }
                    (regressed) " of " (compared.len()) " compared workloads"
                }
            }
        }
    }
}

/// Other work makes all figures worse, and comparisons with another time wrong.
fn busy(machine: &Machine) -> Markup {
    html! {
        @if machine.load > machine.cores.max(1) as f64 {
            p class="verdict doubt" {
                span class="sign" aria-hidden="true" { "!" }
                span {
                    b { "busy: " }
                    "when the run began, " (format!("{:.1}", machine.load)) " processes wanted to \
                     run on " (machine.cores) " cores; what they did is in all figures"
                }
            }
        }
    }
}

/// How it was measured, in one line.
fn rounds(done: &[&Done]) -> Markup {
    let counts = || done.iter().map(|done| done.measured.rounds.len());
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    html! {
        @if most > 0 {
            @let many = if done.len() == 1 { "workload" } else { "workloads" };
            (done.len()) " " (many) " in a process each, "
            @if least == most { (most) } @else { (least) " to " (most) }
            @if most == 1 { " round; " } @else { " rounds; " }
        }
    }
}

/// The few figures that are looked for first.
fn tiles(done: &[&Done]) -> Markup {
    let durable = done.iter().copied().filter(|done| done.workload.is_durable());
    let durable: Vec<&Done> = durable.collect();
    // What may be lost with the power is not held against what may not.
    let is_all = durable.is_empty() || durable.len() == done.len();
    let from: Vec<&Done> = if durable.is_empty() { done.to_vec() } else { durable };
    let middle = |done: &Done| Middle::of(&done.measured);
    let least = |of: &dyn Fn(&Done) -> f64| {
        let good = from.iter().filter(|done| of(done) > 0.0);
        good.min_by(|a, b| of(a).total_cmp(&of(b))).map(|done| (&done.workload, of(done)))
    };
    let closed = from.iter().filter(|done| done.workload.rate == 0);
    let rate = |done: &Done| middle(done).throughput;
    let most =
        closed.max_by(|a, b| rate(a).total_cmp(&rate(b))).map(|done| (&done.workload, rate(done)));
    let of =
        |number: usize| move |done: &Done| percentiles(&done.measured)[number].unwrap_or(0) as f64;
    let rate = |number: f64| format!("{}/s", units::count(number));
    let tiles = [
        tile("highest throughput", most, rate),
        tile("lowest median latency", least(&of(0)), units::time),
        tile("lowest P99", least(&of(2)), units::time),
        tile(
            "least CPU of an operation",
            least(&|done| cpu_per_operation(&done.measured)),
            units::time,
        ),
    ];
    html! {
        @if done.len() > 1 {
            dl class="tiles" { @for tile in tiles.into_iter().flatten() { (tile) } }
            @if !is_all {
                p class="aside" { "Of the workloads whose acknowledgements outlive a power loss." }
            }
        }
    }
}

fn tile(
    name: &str,
    found: Option<(&Workload, f64)>,
    text: impl Fn(f64) -> String,
) -> Option<Markup> {
    let (workload, value) = found?;
    Some(html! {
        div class="tile" {
            dt { (name) }
            dd { b { (text(value)) } span { (workload) } }
        }
    })
}

/// Threads that are named.
const THREADS: usize = 3;

/// All figures as text: charts are for eyes, tables for reading.
pub(super) fn tables(done: &[&Done]) -> Option<Markup> {
    let name = match done.first()?.workload.engine {
        Engine::AtomicCommit => {
            "durability, clients x operations of each that are under way at once, bytes of a value"
        }
        Engine::Sink => "rows of a batch, rows under way at once, bytes of a row",
    };
    let about = html! {
        "Latencies and CPU time of all rounds together, a percentile only where 10 operations or \
         more are slower; the rest are medians of the rounds. A round is a fixed number of \
         operations, after a warm-up, in the same process and on the same files; its end is the \
         last acknowledgement. A name says "
        (name) ", and how many arrive a second where they do so by themselves."
    };
    Some(section(
        "figures",
        "Figures",
        &about,
        html! {
            (speed(done))
            (cost(done))
            (threads(done))
            (late(done))
        },
    ))
}

fn table(caption: &str, columns: &[&str], rows: &[(String, Vec<String>)]) -> Markup {
    html! {
        // Reached by keyboard too, since it may be wider than the window.
        div class="scroll" tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for name in columns { th scope="col" { (name) } } } }
                tbody {
                    @for (name, cells) in rows {
                        tr {
                            th scope="row" { (name) }
                            @for cell in cells { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

fn speed(done: &[&Done]) -> Markup {
    let compares = done.iter().any(|done| done.compared.is_some());
    let mut columns =
        vec!["workload", "operations/s", "P50", "P95", "P99", "P99.9", "max", "rounds", "checked"];
    columns.extend(compares.then_some("compared"));
    let row = |Done { workload, measured, compared }: &&Done| {
        let mut cells = vec![units::count(Middle::of(measured).throughput)];
        let time = |ns: Option<u64>| ns.map_or("-".to_owned(), |ns| units::time(ns as f64));
        cells.extend(percentiles(measured).map(time));
        cells.push(measured.rounds.len().to_string());
        cells.push(grouped(measured.ended.checked));
        if compares {
            cells.push(compared.as_ref().map(comparison::word).unwrap_or_default());
        }
        (workload.to_string(), cells)
    };
    table("Throughput and latency", &columns, &done.iter().map(row).collect::<Vec<_>>())
}

fn cost(done: &[&Done]) -> Markup {
    let columns = [
        "workload",
        "CPU/operation",
        "syncs/operation",
        "written/operation",
        "allocations/operation",
        "peak memory",
    ];
    let row = |Done { workload, measured, .. }: &&Done| {
        let Middle { syncs, written, allocations, .. } = Middle::of(measured);
        let memory = match measured.ended.peak_memory {
            0 => "unknown".to_owned(),
            peak => units::bytes(peak as f64),
        };
        let cells = vec![
            units::time(cpu_per_operation(measured)),
            format!("{syncs:.3}"),
            units::bytes(written),
            units::count(allocations),
            memory,
        ];
        (workload.to_string(), cells)
    };
    table("Cost", &columns, &done.iter().map(row).collect::<Vec<_>>())
}

/// Which thread used how much: whether one of them is what all wait for.
fn threads(done: &[&Done]) -> Markup {
    let row = |Done { workload, measured, .. }: &&Done| {
        let mut threads: Vec<(&String, u64)> =
            measured.ended.threads.iter().map(|(name, ns)| (name, *ns)).collect();
        threads.sort_by_key(|(name, ns)| (std::cmp::Reverse(*ns), *name));
        let most = threads.iter().take(THREADS).map(|(name, ns)| {
            let time = units::time(*ns as f64);
            format!("{name}: {time}")
        });
        let words = most.collect::<Vec<_>>().join(", ");
        let others = threads.iter().skip(THREADS).map(|(_, ns)| *ns as f64).sum();
        (workload.to_string(), vec![threads.len().to_string(), words, units::time(others)])
    };
    let columns = ["workload", "threads", "CPU time of the busiest", "of the others"];
    table("CPU time of threads", &columns, &done.iter().map(row).collect::<Vec<_>>())
}

/// Where an open loop did not keep its times.
fn late(done: &[&Done]) -> Markup {
    let late = |done: &&Done| {
        let late = done.measured.rounds.iter().map(|round| round.late_max_ns).max().unwrap_or(0);
        (late > LATE_NS).then(|| (done.workload.to_string(), units::time(late as f64)))
    };
    let late: Vec<_> = done.iter().filter_map(late).collect();
    html! {
        @if !late.is_empty() {
            ul class="notes" {
                @for (workload, time) in &late {
                    li { (workload) ": operations began up to " (time) " late, which counts as \
                        latency" }
                }
            }
        }
    }
}

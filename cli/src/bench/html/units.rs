//! Numbers as a reader wants them: with a unit, and no more digits than mean something.

use crate::bench::report;
use crate::tables;

/// Units of bytes.
const UNITS: [(f64, &str); 3] =
    [((1_u64 << 30) as f64, "GiB"), ((1_u64 << 20) as f64, "MiB"), (1024.0, "KiB")];

/// A time, from nanoseconds.
pub(super) fn time(ns: f64) -> String {
    report::time(ns.max(0.0) as u64).replace(" us", " µs")
}

/// A count.
pub(super) fn count(number: f64) -> String {
    match number {
        number if number >= 1e15 => format!("{number:.1e}"),
        number if number >= 100.0 || number.fract() == 0.0 => {
            tables::grouped(number.max(0.0).round() as u64)
        }
        number if number >= 10.0 => format!("{number:.1}"),
        number if number >= 0.1 => format!("{number:.2}"),
        number => format!("{number:.4}"),
    }
}

/// Bytes, with three digits.
pub(super) fn bytes(count: f64) -> String {
    let count = count.max(0.0);
    match UNITS.iter().find(|(size, _)| count >= *size) {
        None => format!("{count:.0} B"),
        Some((size, unit)) => {
            let number = count / size;
            let digits = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
            format!("{number:.digits$} {unit}")
        }
    }
}

/// Digits of a number on an axis, without zeros that say nothing.
fn plain(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time on an axis.
pub(super) fn time_tick(ns: f64) -> String {
    match ns {
        0.0 => "0".to_owned(),
        ns if ns < 1e3 => format!("{} ns", plain(ns)),
        ns if ns < 1e6 => format!("{} µs", plain(ns / 1e3)),
        ns if ns < 1e9 => format!("{} ms", plain(ns / 1e6)),
        ns => format!("{} s", plain(ns / 1e9)),
    }
}

/// A count on an axis.
pub(super) fn count_tick(number: f64) -> String {
    match number {
        number if number < 1e4 => plain(number),
        number if number < 1e6 => format!("{} k", plain(number / 1e3)),
        number if number < 1e9 => format!("{} M", plain(number / 1e6)),
        number => format!("{number:e}"),
    }
}

/// A chosen number on an axis, all of it.
pub(super) fn exact_tick(number: f64) -> String {
    if (0.001..1e4).contains(&number) { plain(number) } else { count(number) }
}

/// Bytes on an axis.
pub(super) fn bytes_tick(count: f64) -> String {
    if count == 0.0 {
        return "0".to_owned();
    }
    let unit = UNITS.iter().find(|(size, _)| count >= *size);
    unit.map_or_else(
        || format!("{} B", plain(count)),
        |(size, unit)| {
            let digits = usize::from(count / size < 10.0 && (count / size).fract() > 0.05);
            format!("{:.digits$} {unit}", count / size)
        },
    )
}

/// A percentage with its sign.
pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    match percent {
        percent if percent.abs() < 10.0 => format!("{percent:+.1} %"),
        percent if percent.abs() < 1e6 => format!("{percent:+.0} %"),
        percent => format!("{percent:+.1e} %"),
    }
    .replace('-', "−")
}

/// A ratio.
pub(super) fn ratio(ratio: f64) -> String {
    match ratio {
        ratio if (0.01..1000.0).contains(&ratio) => format!("× {ratio:.2}"),
        ratio => format!("× {ratio:.1e}"),
    }
}

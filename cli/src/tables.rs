//! Closing tables.

use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use seedbed::{FaultKind, Stats, Swept};

use crate::output::Output;
use crate::progress::per_second;

/// A table whose first column is text and whose others are numbers.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    let style = TableStyle::new().top_border(line).header_separator(line).bottom_border(line);
    table.load_style(style);
    table.set_header(header.iter().copied());
    table
}

/// Aligns all columns but the given ones to the right.
pub(crate) fn numbers(table: &mut Table, except: &[usize]) {
    for index in (0..table.column_count()).filter(|index| !except.contains(index)) {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Prints a table without blanks at the ends of lines.
pub(crate) fn print(out: &mut Output<'_>, table: &Table) {
    for line in table.to_string().lines() {
        out.line(line.trim_end());
    }
}

/// One scenario's sweep.
pub(crate) struct Row<'a> {
    pub name: &'a str,
    pub swept: &'a Swept,
    pub wall: Duration,
}

/// What sweeps came to: one row per scenario, then the faults by kind.
pub(crate) fn sweeps(out: &mut Output<'_>, rows: &[Row<'_>]) {
    let mut main = table(&[
        "scenario",
        "seeds",
        "checks",
        "crashes",
        "power losses",
        "faults",
        "simulated",
        "wall",
        "seeds/s",
        "violations",
    ]);
    let mut total = Swept::default();
    let mut wall = Duration::ZERO;
    for row in rows {
        main.add_row(cells(row.name, row.swept, row.wall));
        total.seeds += row.swept.seeds;
        total.stats.add(&row.swept.stats);
        total.found.extend(row.swept.found.iter().cloned());
        wall += row.wall;
    }
    if rows.len() > 1 {
        main.add_row(cells("all", &total, wall));
    }
    numbers(&mut main, &[0]);
    print(out, &main);
    faults(out, &total.stats);
}

fn cells(name: &str, swept: &Swept, wall: Duration) -> [String; 10] {
    let Stats { crashes, power_losses, checks, simulated_ns, .. } = swept.stats;
    [
        name.to_owned(),
        grouped(swept.seeds),
        grouped(checks),
        grouped(crashes),
        grouped(power_losses),
        grouped(swept.stats.faults.iter().sum()),
        duration(Duration::from_nanos(simulated_ns)),
        duration(wall),
        grouped(per_second(swept.seeds, wall)),
        grouped(swept.found.len() as u64),
    ]
}

fn faults(out: &mut Output<'_>, stats: &Stats) {
    let kinds = FaultKind::ALL.iter().map(|kind| (kind.name(), stats.fault(*kind)));
    let kinds: Vec<_> = kinds.filter(|(_, count)| *count > 0).collect();
    if kinds.is_empty() {
        out.line("no faults besides crashes were injected");
        return;
    }
    let mut table = table(&["fault", "injected"]);
    for (name, count) in kinds {
        table.add_row([name.to_owned(), grouped(count)]);
    }
    numbers(&mut table, &[0]);
    print(out, &table);
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A duration in its largest fitting unit.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

//! Which workloads belong in one chart: those that differ in one dimension only.

use seedbed_hardware::{Engine, Workload};

use super::units;
use crate::bench::Done;

/// In the order of a reader: alike ones together, rising. Durability keeps the order of the run.
pub(super) fn sorted(done: &[Done]) -> Vec<&Done> {
    let mode = |workload: &Workload| {
        done.iter().position(|done| done.workload.durability == workload.durability)
    };
    let mut sorted: Vec<&Done> = done.iter().collect();
    sorted.sort_by_key(|Done { workload, .. }| {
        let Workload { value_bytes, rate, clients, window, batch_rows, .. } = *workload;
        (mode(workload), value_bytes, rate, clients, window, batch_rows)
    });
    sorted
}

/// What workloads differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    Durability,
    Clients,
    Window,
    BatchRows,
    ValueBytes,
    Rate,
}

impl Dimension {
    pub(super) const ALL: [Self; 6] = [
        Self::Durability,
        Self::Clients,
        Self::Window,
        Self::BatchRows,
        Self::ValueBytes,
        Self::Rate,
    ];

    /// In a heading.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Durability => "durability",
            Self::Clients => "clients",
            Self::Window => "window",
            Self::BatchRows => "rows of a batch",
            Self::ValueBytes => "size of a value",
            Self::Rate => "arrivals",
        }
    }

    /// As a number, where it is one.
    pub(super) fn number(self, workload: &Workload) -> Option<f64> {
        match self {
            Self::Durability => None,
            Self::Clients => Some(workload.clients.into()),
            Self::Window => Some(workload.window.into()),
            Self::BatchRows => Some(workload.batch_rows.into()),
            Self::ValueBytes => Some(workload.value_bytes.into()),
            Self::Rate => Some(workload.rate as f64),
        }
    }

    /// What a workload has, in words.
    pub(super) fn text(self, workload: &Workload) -> String {
        let Workload { clients, window, batch_rows, value_bytes, rate, .. } = workload;
        match self {
            Self::Durability => workload.durability.to_string(),
            Self::Clients if *clients == 1 => "1 client".to_owned(),
            Self::Clients => format!("{clients} clients"),
            Self::Window => format!("window {window}"),
            Self::BatchRows => format!("batches of {batch_rows}"),
            Self::ValueBytes => units::bytes_tick(f64::from(*value_bytes)),
            Self::Rate if *rate == 0 => "closed loop".to_owned(),
            Self::Rate => format!("{} arrive a second", units::count(*rate as f64)),
        }
    }

    /// Whether an engine has it at all.
    const fn is_of(self, engine: Engine) -> bool {
        !matches!(
            (self, engine),
            (Self::Durability | Self::Clients, Engine::Sink)
                | (Self::BatchRows, Engine::AtomicCommit)
        )
    }

    /// The workload without it: alike for all that differ in nothing else.
    fn without(self, workload: &Workload) -> Workload {
        let any = Workload::default();
        let rest = workload.clone();
        match self {
            Self::Durability => Workload { durability: any.durability, ..rest },
            Self::Clients => Workload { clients: any.clients, ..rest },
            Self::Window => Workload { window: any.window, ..rest },
            Self::BatchRows => Workload { batch_rows: any.batch_rows, ..rest },
            Self::ValueBytes => Workload { value_bytes: any.value_bytes, ..rest },
            Self::Rate => Workload { rate: any.rate, ..rest },
        }
    }
}

/// Workloads, by their places in the list, that differ in one dimension only; rising in it if it is
/// a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) dimension: Dimension,
    pub(super) members: Vec<usize>,
}

/// All groups of two or more in a dimension, in the order of the list.
pub(super) fn groups(all: &[&Workload], dimension: Dimension) -> Vec<Group> {
    let mut groups: Vec<(Workload, Vec<usize>)> = Vec::new();
    for (place, workload) in all.iter().enumerate() {
        let key = dimension.without(workload);
        match groups.iter_mut().find(|(of, _)| *of == key) {
            Some((_, members)) => members.push(place),
            None => groups.push((key, vec![place])),
        }
    }
    let many = groups.into_iter().map(|(_, members)| members).filter(|members| members.len() > 1);
    many.map(|mut members| {
        let number = |place: &usize| dimension.number(all[*place]).unwrap_or(0.0);
        members.sort_by(|a, b| number(a).total_cmp(&number(b)));
        Group { dimension, members }
    })
    .collect()
}

/// The dimensions in which these workloads differ.
pub(super) fn differing(all: &[&Workload]) -> Vec<Dimension> {
    let differs = |dimension: &Dimension| {
        let mut texts = all.iter().map(|workload| dimension.text(workload));
        let first = texts.next();
        texts.any(|text| Some(&text) != first.as_ref())
    };
    Dimension::ALL.into_iter().filter(differs).collect()
}

/// What a workload has in these dimensions; all of it if they are none.
pub(super) fn words(workload: &Workload, dimensions: &[Dimension]) -> String {
    let all: Vec<String> = dimensions.iter().map(|one| one.text(workload)).collect();
    if all.is_empty() { workload.to_string() } else { all.join(", ") }
}

/// What these workloads have in common, `but` for some dimensions.
pub(super) fn common(all: &[&Workload], but: &[Dimension]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let differing = differing(all);
    let is_common = |one: &Dimension| {
        // A closed loop is the usual case.
        let is_plain = *one == Dimension::Rate && first.rate == 0;
        one.is_of(first.engine) && !is_plain && !differing.contains(one) && !but.contains(one)
    };
    let dimensions: Vec<Dimension> = Dimension::ALL.into_iter().filter(is_common).collect();
    if dimensions.is_empty() { String::new() } else { words(first, &dimensions) }
}

/// Most workloads of one panel.
const PANEL: usize = 8;

/// Panels that show every workload at least once: the largest groups first, then what is left.
pub(super) fn panels(all: &[&Workload]) -> Vec<Vec<usize>> {
    if all.len() <= 4 {
        return if all.is_empty() { Vec::new() } else { vec![(0..all.len()).collect()] };
    }
    let candidates: Vec<Group> =
        Dimension::ALL.into_iter().flat_map(|dimension| groups(all, dimension)).collect();
    let mut shown = vec![false; all.len()];
    let mut panels = Vec::new();
    loop {
        let news = |group: &&Group| group.members.iter().filter(|one| !shown[**one]).count();
        // Of several that show as many the first: `max_by_key` gives the last.
        let best = candidates.iter().rev().max_by_key(news).filter(|group| news(group) > 0);
        let Some(group) = best else { break };
        group.members.iter().for_each(|one| shown[*one] = true);
        panels.push(group.members.clone());
    }
    let left: Vec<usize> = (0..all.len()).filter(|one| !shown[*one]).collect();
    panels.extend((!left.is_empty()).then_some(left));
    let split = |members: Vec<usize>| {
        let parts = members.len().div_ceil(PANEL);
        let size = members.len().div_ceil(parts);
        members.chunks(size).map(<[usize]>::to_vec).collect::<Vec<_>>()
    };
    panels.into_iter().flat_map(split).collect()
}

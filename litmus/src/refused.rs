//! Refused writes on the simulated disk: the cells of [`crate::run_error_row`] asked of a profile.
//!
//! What every call comes to is fixed. What the device has of a refused page is not, nor what is
//! left after a mount: there the recorded cell must be one of what is legal.

use std::collections::BTreeSet;
use std::io;

use seedbed::disk::{ErrSeq, Ino, SyncKind};
use seedbed::faults::Profile;

use crate::dump::{Entry, runs_text};
use crate::errno::Errno;
use crate::errors::{ErrorCells, ErrorRow, FILE};
use crate::model::{Model, dump_of};
use crate::setup::Setup;
use crate::steps::{PAGE, Step};
use crate::workload::parse_steps;

/// The unit that the device refuses: in every row it is the file's second page.
const REFUSED: u32 = 1;

/// A cell of a row that a profile does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// Which cell.
    pub cell: &'static str,
    /// What it holds.
    pub observed: String,
    /// What it may hold.
    pub legal: BTreeSet<String>,
}

/// Holds the cells of a row against a profile.
///
/// # Errors
///
/// The base cannot be made.
pub fn hold_errors(
    setup: &Setup,
    profile: Profile,
    row: &ErrorRow,
    cells: &ErrorCells,
) -> io::Result<Vec<Forbidden>> {
    let base = parse_steps(&row.base).map_err(io::Error::other)?;
    let mut model = Model::new(profile, setup.kind, &base)?;
    let mut table = Table { forbidden: Vec::new() };
    let (w, mut w_seen) = open(&mut model, "w")?;
    let (_, mut before) = open(&mut model, "before")?;
    table.check("write", &cells.write, [text(model.step(&row.step).map_err(|errno| errno.0))]);
    // The first sync writes back, and is the first to hear.
    model.disk_mut().fail_write_back(w, REFUSED, libc::ENOSPC);
    table.check("fsync_1", &cells.fsync_1, [fsync(&mut model, w, &mut w_seen)]);
    table.check("fsync_2", &cells.fsync_2, [fsync(&mut model, w, &mut w_seen)]);
    table.check("opened_before", &cells.opened_before, [fsync(&mut model, w, &mut before)]);
    let (after, mut after_seen) = open(&mut model, "after")?;
    table.check("opened_after", &cells.opened_after, [fsync(&mut model, after, &mut after_seen)]);
    table.check("cached", &cells.cached, [content(&model)]);
    drop_page(&mut model, w, cells, &mut table);
    // Until the device heals there is time for the journal's own commit.
    model.disk_mut().commit();
    table.check("healed_fsync", &cells.healed_fsync, [fsync(&mut model, w, &mut w_seen)]);
    let rewrite = Step::Write { handle: "w".to_owned(), offset: 0, len: PAGE, byte: b'e' };
    let rewritten = match model.disk().is_shut_down() {
        true => Err(libc::EROFS),
        false => model.step(&rewrite).map_err(|errno| errno.0),
    };
    let healed = match rewritten {
        Ok(()) => fsync(&mut model, w, &mut w_seen),
        Err(code) => text(Err(code)),
    };
    table.check("healed_write", &cells.healed_write, [healed]);
    model.disk_mut().sync_all();
    table.check("remounted", &cells.remounted, left(&model));
    Ok(table.forbidden)
}

struct Table {
    forbidden: Vec<Forbidden>,
}

impl Table {
    fn check(
        &mut self,
        cell: &'static str,
        observed: &str,
        legal: impl IntoIterator<Item = String>,
    ) {
        let legal: BTreeSet<String> = legal.into_iter().collect();
        if !legal.contains(observed) {
            self.forbidden.push(Forbidden { cell, observed: observed.to_owned(), legal });
        }
    }
}

fn open(model: &mut Model, handle: &str) -> io::Result<(Ino, ErrSeq)> {
    let steps = parse_steps(&format!("open {handle} {FILE}")).map_err(io::Error::other)?;
    let opened = steps.iter().try_for_each(|step| model.step(step));
    opened.map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
    let ino = model.ino(handle)?;
    Ok((ino, model.disk().errors_seen(ino)))
}

fn fsync(model: &mut Model, ino: Ino, seen: &mut ErrSeq) -> String {
    let barrier = model.disk().begin_sync(ino, SyncKind::All);
    let ended = model.disk_mut().end_sync(barrier, seen);
    text(ended.map_err(|error| Errno::from(&error).0))
}

/// The cache drops the refused page. Any version of it may be what the device has: the one that
/// was seen decides how it goes on.
fn drop_page(model: &mut Model, ino: Ino, cells: &ErrorCells, table: &mut Table) {
    let versions = model.disk().refused_versions(ino, REFUSED);
    let mut legal = Vec::new();
    for lost in (0..=versions).rev() {
        let mut dropped = model.clone();
        dropped.disk_mut().evict(ino, REFUSED, lost);
        legal.push(content(&dropped));
        if legal.last() == Some(&cells.dropped) {
            *model = dropped;
            return;
        }
    }
    table.check("dropped", &cells.dropped, legal);
}

fn text(result: Result<(), i32>) -> String {
    result.map_or_else(|code| Errno(code).to_string(), |()| "ok".to_owned())
}

/// The file as readers see it.
fn content(model: &Model) -> String {
    content_of(model.disk())
}

fn content_of(disk: &seedbed::disk::Disk) -> String {
    match dump_of(disk).entries.get(FILE) {
        Some(Entry::File { runs, .. }) => runs_text(runs),
        _ => "none".to_owned(),
    }
}

/// The file as a mount may find it.
fn left(model: &Model) -> BTreeSet<String> {
    let pending = model.pending();
    let mut left = BTreeSet::new();
    pending.legal_sets(|kept| {
        left.insert(content_of(&pending.image(kept, &[])));
        true
    });
    left
}

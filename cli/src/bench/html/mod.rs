//! `bench --html`: one page that shows all that was measured, and needs nothing but itself.
//!
//! `figures.rs` has the headline and the tables, the other sections are a file each; a section
//! without data is left out. `svg.rs` and `rows.rs` draw, `style.css` knows colours, light and
//! dark, and paper. Text is escaped by maud, the page refuses by its own policy to load or run
//! anything, and the same input gives the same page.

mod comparison;
mod costs;
mod figures;
mod groups;
mod latency;
mod overhead;
mod predicted;
mod rows;
mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod throughput;
mod units;

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use maud::{Markup, html};
use seedbed_hardware::Machine;
use seedbed_measure::Thresholds;

pub(super) use self::overhead::Overhead;
pub(super) use self::predicted::Prediction;
use super::Done;
use crate::exit::Failure;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");

/// Values that a clock or a counter can give; others are no figures.
const SOUND: RangeInclusive<f64> = 1e-9..=1e18;

/// What a page is made of.
pub(super) struct Page<'a> {
    pub(super) engine: &'a str,
    pub(super) machine: &'a Machine,
    pub(super) taken: SystemTime,
    pub(super) done: &'a [Done],
    /// How many workloads there would have been.
    pub(super) wanted: usize,
    /// A workload after which the engine's folder was not as it should be, and how.
    pub(super) wrong: Option<String>,
    pub(super) thresholds: Thresholds,
    pub(super) predictions: Option<Vec<Prediction>>,
    pub(super) overhead: Option<Overhead>,
}

impl Page<'_> {
    /// The page's text.
    pub(super) fn text(&self) -> String {
        let done = &groups::sorted(self.done);
        let sections = [
            latency::show(done),
            throughput::show(done),
            self.overhead.as_ref().and_then(overhead::show),
            costs::show(done),
            comparison::show(done, self.thresholds),
            self.predictions.as_deref().and_then(predicted::show),
            figures::tables(done),
        ];
        let body = html! {
            (figures::head(self, done))
            main { @for part in sections.into_iter().flatten() { (part) } }
            footer {
                "Made by seedbed " (env!("CARGO_PKG_VERSION"))
                ". Point at a mark to read its value."
            }
        };
        let title = html! { "seedbed bench: " (self.engine) };
        // The body comes last: what it says is not looked through.
        let page = PAGE.replacen("{{style}}", STYLE.trim_end(), 1);
        let page = page.replacen("{{title}}", &title.into_string(), 1);
        page.replacen("{{body}}", &body.into_string(), 1)
    }
}

/// Where a page goes. It is there whole or not at all: written beside its place, then renamed.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// A place that can be written to; told before minutes are spent on measuring.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let place = Self(path.to_owned());
        let refused = |what: &dyn std::fmt::Display| {
            Failure::usage(format!("--html {}: {what}", path.display()))
        };
        if path.is_dir() || path.file_name().is_none() {
            return Err(refused(&"a folder; name a file in it"));
        }
        let folder = place.folder();
        if !folder.is_dir() {
            return Err(refused(&format!("there is no folder {}", folder.display())));
        }
        place.beside().map(drop).map_err(|error| refused(&error))?;
        Ok(place)
    }

    fn folder(&self) -> &Path {
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }

    fn beside(&self) -> io::Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".seedbed-bench-").suffix(".html");
        // As readable as any new file, not for its owner only.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(self.folder())
    }

    pub(super) fn write(&self, page: &Page<'_>) -> Result<(), Failure> {
        let written = self.beside().and_then(|mut file| {
            file.write_all(page.text().as_bytes())?;
            file.persist(&self.0).map_err(|error| error.error)
        });
        written.map(drop).map_err(|error| {
            Failure::usage(format!("{}: the report is not written: {error}", self.0.display()))
        })
    }
}

/// A part of the page with a heading, and a line on what it shows.
fn section(id: &str, title: &str, about: &Markup, inside: Markup) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            p class="about" { (about) }
            (inside)
        }
    }
}

/// A chart with its title and what all in it have in common.
fn figure(title: &str, common: &str, inside: Markup) -> Markup {
    html! {
        figure {
            figcaption {
                b { (title) }
                @if !common.is_empty() { " " span class="common" { (common) } }
            }
            (inside)
        }
    }
}

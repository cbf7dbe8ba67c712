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

use std::ops::RangeInclusive;
use std::time::SystemTime;

use maud::{Markup, html};
use seedbed_hardware::Machine;
use seedbed_measure::Thresholds;

pub(super) use self::overhead::Overhead;
pub(super) use self::predicted::Prediction;
use super::Done;

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

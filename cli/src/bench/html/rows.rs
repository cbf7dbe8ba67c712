//! Charts of rows: one for each workload, with marks along a horizontal axis.

use maud::{Markup, html};

use super::scale::Scale;
use super::svg::{At, COLOURS, Tick, Width, fitted, marker, text_width};

/// Something in a row.
pub(super) enum Mark {
    /// From where to where; `class` is its colour.
    Bar { from: f64, to: f64, class: String, title: String, word: String },
    /// From where to where it may be.
    Whisker { low: f64, high: f64, class: String },
    /// A marker of one of the shapes.
    Dot { at: f64, shape: usize, class: String, title: String },
}

/// A row.
pub(super) struct Row {
    pub(super) name: String,
    /// What stands at its end; its class.
    pub(super) note: String,
    pub(super) note_class: &'static str,
    pub(super) marks: Vec<Mark>,
}

/// Rows with an axis below.
pub(super) struct Rows<'a> {
    pub(super) scale: Scale,
    pub(super) ticks: Vec<Tick>,
    pub(super) axis_name: &'a str,
    /// Vertical lines with a name.
    pub(super) rules: Vec<(f64, String)>,
    pub(super) rows: Vec<Row>,
}

/// Where things are, in pixels.
struct Area {
    left: f64,
    right: f64,
    top: f64,
    /// Height of a row, and of the line of text above its marks.
    row: f64,
    above: f64,
}

impl Area {
    fn x(&self, place: f64) -> f64 {
        self.left + place * (self.right - self.left)
    }

    /// The middle of the marks of a row.
    fn y(&self, nth: usize) -> f64 {
        self.top + nth as f64 * self.row + self.above + (self.row - self.above) / 2.0
    }
}

const BAR: f64 = 13.0;

impl Rows<'_> {
    fn area(&self, width: Width) -> Area {
        let longest = |text: fn(&Row) -> &str| {
            self.rows.iter().map(|row| text_width(text(row))).fold(0.0, f64::max)
        };
        let top = if self.rules.is_empty() { 4.0 } else { 22.0 };
        match width {
            Width::Wide => Area {
                left: longest(|row| &row.name).clamp(60.0, 310.0) + 10.0,
                right: width.pixels() - longest(|row| &row.note).clamp(20.0, 220.0) - 14.0,
                top,
                row: 25.0,
                above: 0.0,
            },
            // Text above the marks.
            Width::Narrow => {
                Area { left: 8.0, right: width.pixels() - 12.0, top, row: 40.0, above: 17.0 }
            }
        }
    }

    pub(super) fn draw(&self, width: Width) -> (f64, Markup) {
        let area = self.area(width);
        let bottom = area.top + self.rows.len() as f64 * area.row;
        let drawn = html! {
            @for (x, text) in self.apart(&area) {
                line class="grid" x1=(At(x)) x2=(At(x)) y1=(At(area.top)) y2=(At(bottom)) {}
                @let half = text_width(text) / 2.0;
                @let middle = x.clamp(half, width.pixels() - half);
                text class="tick middle" x=(At(middle)) y=(At(bottom + 16.0)) { (text) }
            }
            (self.rules(&area, bottom))
            @for (nth, row) in self.rows.iter().enumerate() { (self.row(width, &area, nth, row)) }
            text class="name end" x=(At(area.right)) y=(At(bottom + 34.0)) { (self.axis_name) }
        };
        (bottom + 42.0, drawn)
    }

    /// Ticks that have room beside each other.
    fn apart(&self, area: &Area) -> Vec<(f64, &str)> {
        let mut kept: Vec<(f64, &str)> = Vec::new();
        for (value, text) in &self.ticks {
            let x = area.x(self.scale.place(*value));
            let room = |(last, other): &(f64, &str)| {
                x - last > (text_width(text) + text_width(other)) / 2.0 + 8.0
            };
            if kept.last().is_none_or(room) {
                kept.push((x, text));
            }
        }
        kept
    }

    fn rules(&self, area: &Area, bottom: f64) -> Markup {
        html! {
            @for (value, text) in &self.rules {
                @let x = area.x(self.scale.place(*value));
                @let half = text_width(text) / 2.0;
                @let middle = x.clamp(area.left + half - 6.0, area.right - half + 6.0);
                // What has no name is where nothing has changed.
                @let class = if text.is_empty() { "axis" } else { "rule" };
                line class=(class) x1=(At(x)) x2=(At(x)) y1=(At(area.top)) y2=(At(bottom)) {}
                text class="rule-name middle" x=(At(middle)) y=(At(area.top - 7.0)) { (text) }
            }
        }
    }

    fn row(&self, width: Width, area: &Area, nth: usize, row: &Row) -> Markup {
        let y = area.y(nth);
        let note_class = row.note_class;
        html! {
            @if width == Width::Wide {
                text class="row-name end" x=(At(area.left - 8.0)) y=(At(y + 4.0)) {
                    title { (row.name) }
                    (fitted(&row.name, area.left - 10.0))
                }
                text class={ "note " (note_class) } x=(At(area.right + 10.0)) y=(At(y + 4.0)) {
                    (row.note)
                }
            } @else {
                @let above = At(y - area.above + 3.0);
                @let room = width.pixels() - 16.0 - text_width(&row.note);
                text class="row-name" x=(At(area.left)) y=(above) { (fitted(&row.name, room)) }
                text class={ "note end " (note_class) } x=(At(width.pixels() - 2.0)) y=(above) {
                    (row.note)
                }
            }
            @for mark in &row.marks { (self.mark(area, y, mark)) }
        }
    }

    fn mark(&self, area: &Area, y: f64, mark: &Mark) -> Markup {
        let x = |value: f64| area.x(self.scale.place(value));
        match mark {
            Mark::Bar { from, to, class, title, word } => {
                let (from, to) = (x(*from), x(*to));
                let length = (to - from).max(0.0);
                let fits = text_width(word) + 8.0 < length;
                html! {
                    g {
                        title { (title) }
                        rect class={ "bar " (class) } x=(At(from)) y=(At(y - BAR / 2.0))
                            width=(At(length)) height=(At(BAR)) {}
                        @if fits && !word.is_empty() {
                            text class="word middle" x=(At((from + to) / 2.0)) y=(At(y + 4.0)) {
                                (word)
                            }
                        }
                    }
                }
            }
            Mark::Whisker { low, high, class } => {
                let (low, high) = (x(*low), x(*high));
                let ends = [low, high];
                html! {
                    g class={ "mark " (class) } {
                        line class="whisker" x1=(At(low)) x2=(At(high)) y1=(At(y)) y2=(At(y)) {}
                        @for end in ends {
                            line class="whisker" x1=(At(end)) x2=(At(end)) y1=(At(y - 4.0))
                                y2=(At(y + 4.0)) {}
                        }
                    }
                }
            }
            Mark::Dot { at, shape, class, title } => html! {
                g class={ "mark " (class) } {
                    title { (title) }
                    (marker(shape % COLOURS, x(*at), y, 5.0))
                }
            },
        }
    }
}

//! Charts as SVG inside the page: axes, lines, markers.
//!
//! Each chart is drawn twice, wide and narrow; the style shows the one that fits the window, so
//! that letters keep their size. Colours are classes: the style knows light and dark. Each mark has
//! a `<title>`, which browsers show beside the pointer.
//!
//! Invariant: no coordinate is ever anything but a finite number inside the drawing.

use std::fmt;

use maud::{Markup, html};

use super::scale::Scale;

/// Colours, and shapes of markers, that there are.
pub(super) const COLOURS: usize = 8;
/// About the width of a letter.
const LETTER: f64 = 6.6;

/// How wide a chart is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Wide,
    Narrow,
}

impl Width {
    pub(super) const fn pixels(self) -> f64 {
        match self {
            Self::Wide => 660.0,
            Self::Narrow => 350.0,
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// A coordinate: a tenth of a pixel is enough.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) f64);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.0.is_finite() { self.0.clamp(-1e5, 1e5) } else { 0.0 };
        // No "-0".
        let tenths = (value * 10.0).round() / 10.0 + 0.0;
        write!(f, "{tenths}")
    }
}

/// Pixels that a text takes, about.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// A text that takes at most so many pixels.
pub(super) fn fitted(text: &str, pixels: f64) -> String {
    let most = (pixels / LETTER + 0.01).max(2.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A chart in both widths, with what it shows in words.
pub(super) fn both(words: &str, draw: impl Fn(Width) -> (f64, Markup)) -> Markup {
    html! {
        @for width in [Width::Wide, Width::Narrow] {
            @let (height, inside) = draw(width);
            @let size = format!("0 0 {} {}", At(width.pixels()), At(height));
            svg class={ "chart " (width.class()) } viewBox=(size) role="img" aria-label=(words) {
                (inside)
            }
        }
    }
}

/// A place in a series.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) x: f64,
    pub(super) y: f64,
    /// From where to where it may be.
    pub(super) interval: Option<(f64, f64)>,
    /// What the pointer is told; without it there is no marker.
    pub(super) title: Option<String>,
    /// Whether it rests on little: the line to it is dashed.
    pub(super) is_thin: bool,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// Which colour and marker.
    pub(super) colour: usize,
    pub(super) spots: Vec<Spot>,
}

/// A value that is named beside an axis.
pub(super) type Tick = (f64, String);

/// Two axes, with what they show.
pub(super) struct Axes<'a> {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) x_name: &'a str,
    pub(super) y_name: &'a str,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y_ticks: Vec<Tick>,
}

/// A chart's inner edges in pixels.
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    fn x(&self, place: f64) -> f64 {
        self.left + place * (self.right - self.left)
    }

    fn y(&self, place: f64) -> f64 {
        self.bottom - place * (self.bottom - self.top)
    }
}

impl Axes<'_> {
    fn area(&self, width: Width) -> Area {
        let longest = self.y_ticks.iter().map(|(_, text)| text_width(text)).fold(24.0, f64::max);
        let bottom = if width == Width::Wide { 290.0 } else { 230.0 };
        Area { left: longest + 10.0, right: width.pixels() - 14.0, top: 26.0, bottom }
    }

    /// The chart with these lines, and more that is drawn onto it.
    pub(super) fn draw(&self, width: Width, lines: &[Series], more: &Extra) -> (f64, Markup) {
        let area = self.area(width);
        let drawn = html! {
            (self.frame(&area))
            (self.rules(&area, &more.rules))
            @for series in lines { (self.line(&area, series)) }
            @for series in lines { (self.marks(&area, series)) }
            @for pin in &more.pins { (self.pin(&area, pin)) }
        };
        (area.bottom + 42.0, drawn)
    }

    fn frame(&self, area: &Area) -> Markup {
        let (left, right, bottom) = (At(area.left), At(area.right), At(area.bottom));
        html! {
            @for (value, text) in &self.y_ticks {
                @let y = area.y(self.y.place(*value));
                line class="grid" x1=(left) x2=(right) y1=(At(y)) y2=(At(y)) {}
                text class="tick end" x=(At(area.left - 7.0)) y=(At(y + 4.0)) { (text) }
            }
            @for (x, text) in self.apart(area) {
                line class="grid" x1=(At(x)) x2=(At(x)) y1=(At(area.top)) y2=(bottom) {}
                // The outermost ones stay inside.
                @let half = text_width(text) / 2.0;
                @let middle = x.min(area.right + 12.0 - half);
                text class="tick middle" x=(At(middle)) y=(At(area.bottom + 17.0)) { (text) }
            }
            line class="axis" x1=(left) x2=(right) y1=(bottom) y2=(bottom) {}
            text class="name" x=(At(2.0)) y=(At(12.0)) { (self.y_name) }
            text class="name end" x=(right) y=(At(area.bottom + 35.0)) { (self.x_name) }
        }
    }

    /// Names of the horizontal axis that have room beside each other, with their places. Both ends
    /// come first.
    fn apart(&self, area: &Area) -> Vec<(f64, &str)> {
        let place = |(value, text): &'_ Tick| (area.x(self.x.place(*value)), text.len());
        let count = self.x_ticks.len();
        let order = (0..count.min(1)).chain((1..count).rev().take(1)).chain(1..count.max(1) - 1);
        let mut kept: Vec<usize> = Vec::new();
        for at in order.filter(|at| *at < count) {
            let (x, letters) = place(&self.x_ticks[at]);
            let is_free = kept.iter().all(|other| {
                let (other, others) = place(&self.x_ticks[*other]);
                (x - other).abs() > (letters + others) as f64 * LETTER / 2.0 + 6.0
            });
            if is_free {
                kept.push(at);
            }
        }
        kept.sort_unstable();
        let tick = |at: usize| (area.x(self.x.place(self.x_ticks[at].0)), &*self.x_ticks[at].1);
        kept.into_iter().map(tick).collect()
    }

    fn point(&self, area: &Area, x: f64, y: f64) -> (f64, f64) {
        (area.x(self.x.place(x)), area.y(self.y.place(y)))
    }

    fn line(&self, area: &Area, series: &Series) -> Markup {
        let solid: Vec<&Spot> = series.spots.iter().filter(|spot| !spot.is_thin).collect();
        // The dashed part begins where the solid one ends.
        let thin = solid.last().copied().into_iter();
        let thin: Vec<&Spot> =
            thin.chain(series.spots.iter().filter(|spot| spot.is_thin)).collect();
        let path = |spots: &[&Spot]| {
            let points = spots.iter().map(|spot| {
                let (x, y) = self.point(area, spot.x, spot.y);
                format!("{},{}", At(x), At(y))
            });
            points.collect::<Vec<_>>().join(" ")
        };
        let colour = series.colour % COLOURS;
        html! {
            @if solid.len() > 1 {
                polyline class={ "line c" (colour) } points=(path(&solid)) {}
            }
            @if thin.len() > 1 {
                polyline class={ "line thin c" (colour) } points=(path(&thin)) {}
            }
        }
    }

    fn marks(&self, area: &Area, series: &Series) -> Markup {
        let colour = series.colour % COLOURS;
        html! {
            @for spot in &series.spots {
                @if let Some(title) = &spot.title {
                    @let (x, y) = self.point(area, spot.x, spot.y);
                    g class={ "mark c" (colour) } {
                        title { (series.name) ": " (title) }
                        @if let Some((low, high)) = spot.interval {
                            @let (_, low) = self.point(area, spot.x, low);
                            @let (_, high) = self.point(area, spot.x, high);
                            line class="whisker" x1=(At(x)) x2=(At(x)) y1=(At(low)) y2=(At(high)) {}
                        }
                        (marker(colour, x, y, 4.5))
                    }
                }
            }
        }
    }

    fn rules(&self, area: &Area, rules: &[(f64, String)]) -> Markup {
        html! {
            @for (value, text) in rules {
                @let y = area.y(self.y.place(*value));
                line class="rule" x1=(At(area.left)) x2=(At(area.right)) y1=(At(y)) y2=(At(y)) {}
                text class="rule-name end" x=(At(area.right)) y=(At(y - 4.0)) { (text) }
            }
        }
    }

    fn pin(&self, area: &Area, pin: &Pin) -> Markup {
        let (x, y) = self.point(area, pin.x, pin.y);
        let name = if pin.is_below { y + 21.0 } else { y - 13.0 };
        html! {
            g class={ "pin c" (pin.colour % COLOURS) } {
                title { (pin.title) }
                line class="drop" x1=(At(x)) x2=(At(x)) y1=(At(y)) y2=(At(area.bottom)) {}
                circle class="ring" cx=(At(x)) cy=(At(y)) r="8" {}
                text class="pin-name middle" x=(At(x)) y=(At(name)) { (pin.name) }
            }
        }
    }
}

/// A place on a chart with a name.
pub(super) struct Pin {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) colour: usize,
    pub(super) name: String,
    pub(super) title: String,
    /// Whether its name is below.
    pub(super) is_below: bool,
}

/// What a chart of lines has besides them.
#[derive(Default)]
pub(super) struct Extra {
    /// Horizontal lines with a name.
    pub(super) rules: Vec<(f64, String)>,
    pub(super) pins: Vec<Pin>,
}

/// A marker: each colour has a shape of its own.
pub(super) fn marker(colour: usize, x: f64, y: f64, size: f64) -> Markup {
    let path = |corners: &[(f64, f64)]| {
        let corners =
            corners.iter().map(|(dx, dy)| format!("{},{}", At(x + dx * size), At(y + dy * size)));
        corners.collect::<Vec<_>>().join(" ")
    };
    let corners: &[(f64, f64)] = match colour % COLOURS {
        0 => return html! { circle cx=(At(x)) cy=(At(y)) r=(At(size)) {} },
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
        3 => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        4 => &[(0.0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
        5 => &[
            (-0.4, -1.1),
            (0.4, -1.1),
            (0.4, -0.4),
            (1.1, -0.4),
            (1.1, 0.4),
            (0.4, 0.4),
            (0.4, 1.1),
            (-0.4, 1.1),
            (-0.4, 0.4),
            (-1.1, 0.4),
            (-1.1, -0.4),
            (-0.4, -0.4),
        ],
        6 => &[(1.2, 0.0), (-0.9, 1.15), (-0.9, -1.15)],
        _ => &[(0.6, -1.05), (1.2, 0.0), (0.6, 1.05), (-0.6, 1.05), (-1.2, 0.0), (-0.6, -1.05)],
    };
    html! { polygon points=(path(corners)) {} }
}

/// Names of lines, above a chart so that nothing is ever hidden behind them.
pub(super) fn legend<'a>(names: impl IntoIterator<Item = (usize, &'a str)>) -> Markup {
    html! {
        ul class="legend" {
            @for (colour, name) in names {
                @let colour = colour % COLOURS;
                li {
                    svg class={ "swatch mark c" (colour) } viewBox="0 0 26 14" aria-hidden="true" {
                        line class={ "line c" (colour) } x1="1" x2="25" y1="7" y2="7" {}
                        (marker(colour, 13.0, 7.0, 4.5))
                    }
                    (name)
                }
            }
        }
    }
}

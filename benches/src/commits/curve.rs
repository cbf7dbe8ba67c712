//! Where a curve of overheads crosses +10 % and 0 %.

use std::fmt;

use serde::Serialize;

/// One point: commits in flight, and what a commit takes in units of the baseline.
pub(crate) type Point = (f64, f64);

/// From where on the overhead is no more than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Crossing {
    /// At every point.
    Everywhere,
    /// From so many commits in flight on, between two points on logarithmic scales.
    From(f64),
    /// Not at the last point. The least ratio, and where.
    Never { least: f64, at: f64 },
}

impl Crossing {
    /// `points` in ascending order, at least one; `ratio` is 1.1 for +10 %.
    pub(crate) fn find(points: &[Point], ratio: f64) -> Option<Self> {
        let least = points.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        // One point below it between others above is noise: from here on all are below.
        let above = points.iter().rposition(|point| point.1 > ratio);
        Some(match above {
            None => Self::Everywhere,
            Some(last) if last + 1 == points.len() => Self::Never { least: least.1, at: least.0 },
            Some(last) => {
                let ((from, high), (to, low)) = (points[last], points[last + 1]);
                let share = (high / ratio).ln() / (high / low).ln();
                Self::From(from * (to / from).powf(share))
            }
        })
    }
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("at every point that was measured"),
            Self::From(at) => write!(f, "from about {at:.0} commits in flight on"),
            Self::Never { least, at } => {
                write!(f, "not reached; the least is {} at {at}", percent(*least))
            }
        }
    }
}

/// A ratio as an overhead.
pub(crate) fn percent(ratio: f64) -> String {
    format!("{:+.0} %", (ratio - 1.0) * 100.0)
}

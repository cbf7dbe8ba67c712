//! Figures to tables. Every ratio is taken between figures of one round, and its median is shown.
//!
//! Figures that other programs disturbed do not count where there are others; `~` marks what has
//! none.

use serde_json::{Value, json};

use super::asked::Asked;
use super::cell::{Found, Shape, Subject};
use super::curve::{Crossing, Point, percent};
use super::patience::FOREIGN_MAX;
use super::{CALLERS, CURVE, WINDOWS};
use crate::report::{Spread, short};

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) cells: Vec<(Subject, Shape)>,
    /// By round, in the order of `cells`.
    pub(crate) rounds: Vec<Vec<Found>>,
    /// Empty without `strace`.
    pub(crate) asked: Vec<Asked>,
    /// Processes that wanted to run in the last minute, before and after.
    pub(crate) load: (String, String),
}

/// A cell of the results.
type At = (Subject, Shape);
/// A ratio, and whether any round of it was calm.
type Ratio = (Spread, bool);
/// What seedbed is held to: what, the ratio, and the least it should be.
type Claim = (String, Option<Ratio>, f64);

impl Results {
    fn each(&self, at: At) -> Vec<&Found> {
        let Some(nth) = self.cells.iter().position(|cell| *cell == at) else { return Vec::new() };
        self.rounds.iter().map(|round| &round[nth]).collect()
    }

    /// A figure's median and range.
    fn spread(&self, at: At, of: impl Fn(&Found) -> Option<f64>) -> Option<Spread> {
        let value = |found: &Found| Some((of(found)?, found.foreign));
        Some(calm(self.each(at).into_iter().filter_map(value).collect())?.0)
    }

    fn rate(&self, at: At) -> Option<Spread> {
        self.spread(at, |found| Some(found.rate()))
    }

    /// A rate as in a table's cell.
    fn rate_text(&self, at: At) -> String {
        let rates = self.each(at).into_iter().map(|found| (found.rate(), found.foreign));
        let Some((rate, was_calm)) = calm(rates.collect()) else { return "-".to_owned() };
        format!("{}{}", mark(was_calm), short(rate.median))
    }

    /// The rate of one divided by the other's, round by round, and whether any of them was calm.
    fn ratio(&self, of: At, to: At) -> Option<Ratio> {
        let pairs = self.each(of).into_iter().zip(self.each(to));
        let ratio =
            |(of, to): (&Found, &Found)| (of.rate() / to.rate(), of.foreign.max(to.foreign));
        calm(pairs.map(ratio).collect())
    }

    /// A ratio's median and range as in a table's cell.
    fn ratio_text(&self, of: At, to: At) -> String {
        self.ratio(of, to).map_or_else(|| "-".to_owned(), range)
    }

    fn asked(&self, subject: Subject, callers: u32) -> Option<&Asked> {
        self.asked.iter().find(|asked| (asked.subject, asked.callers) == (subject, callers))
    }

    /// Whether syncs were counted and are too few.
    fn is_not_durable(&self, subject: Subject) -> bool {
        self.asked.iter().any(|asked| asked.subject == subject && !asked.is_durable)
    }

    /// The durable peer with the highest rate.
    fn best_peer(&self, shape: Shape) -> Option<Subject> {
        let durable = |of: &Subject| of.is_peer() && !self.is_not_durable(*of);
        let peers = Subject::CONTENDERS.into_iter().filter(durable);
        let rated = peers.filter_map(|peer| Some((peer, self.rate((peer, shape))?.median)));
        rated.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(peer, _)| peer)
    }

    /// Ours, called in the way that is fastest.
    fn ours(&self, shape: Shape) -> Subject {
        let rated = Subject::OURS.into_iter().filter_map(|of| Some((of, self.rate((of, shape))?)));
        let best = rated.max_by(|a, b| a.1.median.total_cmp(&b.1.median));
        best.map_or(Subject::Seedbed, |(of, _)| of)
    }

    /// Prints everything as Markdown.
    pub(crate) fn print(&self) {
        self.print_callers();
        self.print_latencies();
        self.print_windows();
        self.print_curve("seedbed", Self::ours);
        self.print_curve("the minimal WAL", |_, _| Subject::Wal);
        self.print_limits();
        self.print_claims();
        self.print_disturbance();
    }

    fn print_disturbance(&self) {
        let foreign: Vec<_> = self.rounds.iter().flatten().map(|found| found.foreign).collect();
        let disturbed = foreign.iter().filter(|share| **share > FOREIGN_MAX).count();
        let (all, compared) =
            (foreign.len(), self.rounds.iter().flatten().map(|found| found.compared).sum::<u64>());
        let Some(foreign) = Spread::of(foreign) else { return };
        println!(
            "\nLoad average {} before, {} after. Other programs had {:.0} % of the machine's CPU \
             time (median; at most {:.0} %); in {disturbed} of {all} figures more than {:.0} %: \
             these count only where there is no other, marked ~. {compared} values were compared \
             after reopening, and were right.",
            self.load.0,
            self.load.1,
            foreign.median * 100.0,
            foreign.max * 100.0,
            FOREIGN_MAX * 100.0,
        );
    }

    fn print_callers(&self) {
        println!("### Durable commits per second, blocking callers\n");
        let heads = CALLERS.map(|count| format!("{count} | to the floor"));
        println!("| store | {} | syncs for a commit, 1 and 8 callers |", heads.join(" | "));
        println!("|---|{}---|", "---|---|".repeat(CALLERS.len()));
        for subject in Subject::CONTENDERS {
            let cells = CALLERS.map(|count| {
                let shape = Shape::Callers(count);
                let at = (subject, shape);
                format!("{} | {}", self.rate_text(at), self.ratio_text(at, (Subject::Wal, shape)))
            });
            let asked = |count| self.asked(subject, count).map(Asked::text);
            let mut syncs = format!("{}; {}", or_none(asked(1)), or_none(asked(8)));
            if self.is_not_durable(subject) {
                syncs.push_str(": **not durable**");
            }
            println!("| {} | {} | {syncs} |", subject.label(), cells.join(" | "));
        }
    }

    fn print_latencies(&self) {
        println!("\n### Latency of a commit, microseconds, P50 / P99; CPU time of a commit\n");
        let heads = CALLERS.map(|count| format!("{count} | CPU"));
        println!("| store | {} |", heads.join(" | "));
        println!("|---|{}", "---|---|".repeat(CALLERS.len()));
        for subject in Subject::CONTENDERS {
            let cells = CALLERS.map(|count| {
                let at = (subject, Shape::Callers(count));
                let [p50, p99, cpu] = self.times(at);
                format!("{p50} / {p99} | {cpu}")
            });
            println!("| {} | {} |", subject.label(), cells.join(" | "));
        }
    }

    /// P50, P99 and CPU time of a commit, in microseconds.
    fn times(&self, at: At) -> [String; 3] {
        let median = |of: fn(&Found) -> Option<f64>| self.spread(at, of).map(|of| of.median);
        let text = |value: Option<f64>| or_none(value.map(|value| format!("{value:.1}")));
        let whole = |value: Option<f64>| or_none(value.map(|value| format!("{value:.0}")));
        [
            whole(median(|found| found.p50_us)),
            whole(median(|found| found.p99_us)),
            text(median(|found| Some(found.cpu_s * 1e6 / found.commits as f64))),
        ]
    }

    fn print_windows(&self) {
        println!("\n### Pipelined: one submitter, so many commits under way\n");
        println!(
            "| under way | seedbed | P50 / P99 us | CPU us | minimal WAL | P50 / P99 us | CPU us \
             | seedbed to the WAL | seedbed to one pwrite per commit |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
        let pwrite = (Subject::Pwrite, Shape::Callers(1));
        for window in WINDOWS {
            let shape = Shape::Window(window);
            let (ours, wal) = ((Subject::Seedbed, shape), (Subject::Wal, shape));
            let [rate, wal_rate] = [ours, wal].map(|at| self.rate_text(at));
            let ([p50, p99, cpu], [wal50, wal99, wal_cpu]) = (self.times(ours), self.times(wal));
            let [to_wal, to_pwrite] = [wal, pwrite].map(|to| self.ratio_text(ours, to));
            println!(
                "| {window} | {rate} | {p50} / {p99} | {cpu} | {wal_rate} | {wal50} / {wal99} \
                 | {wal_cpu} | {to_wal} | {to_pwrite} |"
            );
        }
    }

    /// A subject's curve against a baseline, over windows.
    fn curve(&self, subject: Subject, baseline: Subject) -> Vec<Point> {
        let point = |window| {
            let to = (baseline, Shape::Callers(1));
            let (ratio, _) = self.ratio(to, (subject, Shape::Window(window)))?;
            Some((f64::from(window), ratio.median))
        };
        CURVE.into_iter().filter_map(point).collect()
    }

    fn print_curve(&self, label: &str, subject: impl Fn(&Self, Shape) -> Subject) {
        println!(
            "\n### Overhead of a durable commit of {label} over a write that is not durable\n"
        );
        let rate = |baseline, count| self.rate_text((baseline, Shape::Callers(count)));
        let rates = |baseline| CALLERS.map(|count| rate(baseline, count)).join(", ");
        let heads = Subject::BASELINES.map(|of| format!("{} ({}/s)", of.label(), rates(of)));
        println!("| in flight | {} |", heads.join(" | "));
        println!("|---|{}", "---|".repeat(heads.len()));
        let windows = CURVE.map(|window| (Shape::Window(window), 1, "pipelined"));
        let callers = CALLERS.map(|count| (Shape::Callers(count), count, "callers"));
        for (shape, count, name) in windows.into_iter().chain(callers) {
            let overhead = |baseline| {
                let to = (baseline, Shape::Callers(count));
                let ratio = self.ratio(to, (subject(self, shape), shape));
                or_none(ratio.map(|(of, calm)| format!("{}{}", mark(calm), percent(of.median))))
            };
            let cells = Subject::BASELINES.map(overhead);
            println!("| {} {name} | {} |", shape.in_flight(), cells.join(" | "));
        }
        println!();
        for baseline in Subject::BASELINES {
            let pipelined = subject(self, Shape::Window(WINDOWS[0]));
            let points = self.curve(pipelined, baseline);
            let found = [1.1, 1.0].map(|ratio| Crossing::find(&points, ratio));
            if let [Some(ten), Some(zero)] = found {
                println!("* Over \"{}\": +10 % or less {ten}; 0 % {zero}.", baseline.label());
            }
        }
    }

    fn print_limits(&self) {
        println!("\n### Limits of the machine\n");
        println!("| what, one at a time | per second | P50 us | P99 us |\n|---|---|---|---|");
        let one = Shape::Callers(1);
        for limit in Subject::LIMITS {
            let [p50, p99, cpu] = self.times((limit, one));
            let rate = self.rate_text((limit, one));
            let p50 = if limit.is_short() { format!("{cpu} (CPU)") } else { p50 };
            println!("| {} | {rate} | {p50} | {p99} |", limit.label());
        }
        println!();
        for subject in Subject::OURS.into_iter().chain([Subject::Wal]) {
            let to = |limit| self.ratio_text((subject, one), (limit, one));
            println!(
                "* {} with one caller makes {} of the commits that overwriting and syncing one \
                 page allows, and {} of what appending and syncing allows.",
                subject.label(),
                to(Subject::SyncOverwrite),
                to(Subject::SyncAppend)
            );
        }
        let roots = (Subject::Roots, one);
        let last = (Subject::Seedbed, Shape::Window(WINDOWS[WINDOWS.len() - 1]));
        println!(
            "* seedbed with {} under way makes {} of the commits whose roots one core can compute.",
            WINDOWS[WINDOWS.len() - 1],
            self.ratio_text(last, roots)
        );
    }

    /// What seedbed is held to, and what came out.
    fn claims(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        for count in CALLERS {
            let shape = Shape::Callers(count);
            let ours = (self.ours(shape), shape);
            let name = |to: &str| format!("{}, {count} callers, to {to}", ours.0.label());
            // A single caller is to be level with the best; 5 % are noise.
            let least = if count == 1 { 0.95 } else { 1.0 };
            if let Some(peer) = self.best_peer(shape) {
                let to = name(&format!("the best durable peer ({})", peer.label()));
                claims.push((to, self.ratio(ours, (peer, shape)), least));
            }
            if count > 1 {
                claims.push((name("the floor"), self.ratio(ours, (Subject::Wal, shape)), 1.0));
            }
        }
        let ours = (Subject::Seedbed, Shape::Window(1024));
        let pwrite = self.ratio(ours, (Subject::Pwrite, Shape::Callers(1)));
        claims.push(("1024 under way, to one pwrite per commit".to_owned(), pwrite, 1.0));
        claims
    }

    fn print_claims(&self) {
        println!("\n### What seedbed is held to\n");
        println!("| what | ratio of rates (range) | at least | |\n|---|---|---|---|");
        for (name, ratio, least) in self.claims() {
            let Some(ratio) = ratio else { continue };
            let verdict = if ratio.0.median >= least { "met" } else { "**missed**" };
            println!("| {name} | {} | {least} | {verdict} |", range(ratio));
        }
    }

    /// Everything for other programs.
    pub(crate) fn json(&self) -> Value {
        let figure = |at: &At| {
            let spread = |of: fn(&Found) -> Option<f64>| self.spread(*at, of);
            json!({
                "subject": at.0,
                "shape": at.1,
                "commits_per_s": self.rate(*at),
                "p50_us": spread(|found| found.p50_us),
                "p99_us": spread(|found| found.p99_us),
                "cpu_us": spread(|found| Some(found.cpu_s * 1e6 / found.commits as f64)),
                "foreign_cpu_share": spread(|found| Some(found.foreign)),
                "compared": spread(|found| Some(found.compared as f64)),
            })
        };
        let crossing = |(subject, baseline): (Subject, Subject)| {
            let points = self.curve(subject, baseline);
            let [ten, zero] = [1.1, 1.0].map(|ratio| Crossing::find(&points, ratio));
            json!({
                "subject": subject,
                "baseline": baseline,
                "ratios": points,
                "ten_percent": ten,
                "zero": zero,
            })
        };
        let curves = [Subject::Seedbed, Subject::Wal]
            .into_iter()
            .flat_map(|subject| Subject::BASELINES.map(|baseline| (subject, baseline)));
        let claims = self.claims();
        json!({
            "rounds": self.rounds.len(),
            "load": [self.load.0, self.load.1],
            "raw": self.rounds,
            "figures": self.cells.iter().map(figure).collect::<Vec<_>>(),
            "syncs": self.asked,
            "curves": curves.map(crossing).collect::<Vec<_>>(),
            "claims": claims.iter().map(|(name, ratio, least)| {
                json!({ "what": name, "ratio": ratio.map(|(of, _)| of), "at_least": least })
            }).collect::<Vec<_>>(),
        })
    }
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// Median and range of a ratio.
fn range((ratio, was_calm): Ratio) -> String {
    let Spread { median, min, max } = ratio;
    format!("{}{median:.2} ({min:.2} .. {max:.2})", mark(was_calm))
}

/// Marks what other programs disturbed in every round.
const fn mark(was_calm: bool) -> &'static str {
    if was_calm { "" } else { "~" }
}

/// Values with the share of the machine that other programs had: those that were not disturbed, or
/// all if there are none, which the second says.
fn calm(values: Vec<(f64, f64)>) -> Option<Ratio> {
    let was_calm = values.iter().any(|(_, foreign)| *foreign <= FOREIGN_MAX);
    let counts = |(_, foreign): &(f64, f64)| !was_calm || *foreign <= FOREIGN_MAX;
    let values = values.into_iter().filter(counts).map(|(value, _)| value);
    Some((Spread::of(values.collect())?, was_calm))
}

//! When what is killed: from the seed, by progress and a small delay, so that over time every phase
//! of two-phase commit is met.

use std::time::Duration;

use super::source::Mix;

/// One stop: what is killed there, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// When so many rows are in a checkpoint,
    pub(super) at: u64,
    /// and so much later.
    pub(super) delay: Duration,
    pub(super) what: What,
    /// For how long what was killed stays away.
    pub(super) down: Duration,
    /// Of a server: whether its processes are told.
    pub(super) hard: bool,
    /// If both are killed: which one comes back first.
    pub(super) sink_first: bool,
}

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Sink,
    /// A participant's process, or the server.
    Peer(usize),
    /// A participant, and the sink while that is away: its decisions cannot have been carried out.
    Both(usize),
}

impl What {
    /// How many kills it is.
    pub(super) fn kills(self) -> u32 {
        if matches!(self, Self::Both(_)) { 2 } else { 1 }
    }
}

/// So many kills over so many rows; `peers` can be killed, if there are any.
pub(super) fn plan(seed: u64, rows: u64, kills: u32, peers: usize) -> Vec<Stop> {
    let mut mix = Mix::new(seed, u64::MAX);
    let mut what = Vec::new();
    let mut left = kills;
    while left > 0 {
        let peer = mix.below(peers as u64) as usize;
        let one = match mix.below(100) {
            _ if peers == 0 => What::Sink,
            0..40 => What::Sink,
            40..75 => What::Peer(peer),
            _ if left > 1 => What::Both(peer),
            _ => What::Sink,
        };
        left -= one.kills();
        what.push(one);
    }
    let count = what.len() as u64;
    let stop = |(nth, what): (usize, What)| {
        let (part, within) = (nth as u64, mix.below(1000));
        // Each in a part of its own, and none in the last one.
        let at = u128::from(rows) * u128::from(part * 1000 + within) / u128::from(count * 1000 + 1);
        let long = mix.below(4) == 0;
        let delay = Duration::from_micros(mix.below(if long { 60_000 } else { 10_000 }));
        let down = Duration::from_micros(mix.below(if long { 200_000 } else { 20_000 }));
        let (hard, sink_first) = (mix.below(2) == 0, mix.below(2) == 0);
        Stop { at: at as u64, delay, what, down, hard, sink_first }
    };
    what.into_iter().enumerate().map(stop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_as_many_kills_as_were_asked_for_in_the_order_of_rows() {
        for seed in 0..50 {
            for (kills, peers) in [(0, 3), (1, 3), (20, 0), (37, 1), (200, 3)] {
                let stops = plan(seed, 10_000, kills, peers);
                assert_eq!(stops.iter().map(|stop| stop.what.kills()).sum::<u32>(), kills);
                assert!(stops.is_sorted_by_key(|stop| stop.at));
                assert!(stops.iter().all(|stop| stop.at < 10_000));
                assert_eq!(stops, plan(seed, 10_000, kills, peers), "the same again");
            }
        }
    }
}

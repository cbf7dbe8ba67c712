//! What the network does: the table `[net]` of a plan, and what a seed makes of it.

use serde::{Deserialize, Serialize};

use crate::range::{DurationRange, RatioRange};
use crate::ratio::Ratio;

/// What the network does between the nodes. Loopback is spared all but latency and short calls.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetPlan {
    /// How long a segment or a datagram is under way; drawn for each.
    pub latency: DurationRange,
    /// Bytes that a stream takes from its writer before its reader has read them.
    pub window_bytes: u64,
    /// How much later a lost segment of a stream arrives; drawn per loss.
    pub retransmit: DurationRange,
    /// How long a connect waits for an answer before it fails; drawn per connect.
    pub connect_timeout: DurationRange,
    /// How long a stream tries to send the same bytes before it fails; drawn per connection.
    pub send_timeout: DurationRange,
    /// Chance that a segment is lost, which delays it, or that a datagram is lost.
    pub drop_probability: RatioRange,
    /// Chance that a datagram arrives twice.
    pub duplicate_probability: RatioRange,
    /// Chance that a datagram is held up by `reorder`, so that later ones overtake it.
    pub reorder_probability: RatioRange,
    /// How long that is; drawn per datagram.
    pub reorder: DurationRange,
    /// Chance that a packet clogs its link, in its direction: what is sent waits until `clog` is
    /// over.
    pub clog_probability: RatioRange,
    /// How long a clog lasts; drawn per clog.
    pub clog: DurationRange,
    /// Chance that a packet finds its link partitioned: what is sent is lost until `partition` is
    /// over. One way, both ways, or all links of the receiver: a decision.
    pub partition_probability: RatioRange,
    /// How long a partition lasts; drawn per partition.
    pub partition: DurationRange,
    /// Chance that a packet begins a swizzle: some nodes are clogged one after the other, and
    /// unclogged in another order.
    pub swizzle_probability: RatioRange,
    /// How long a swizzle lasts; drawn per swizzle.
    pub swizzle: DurationRange,
    /// Chance that a connect fails.
    pub connect_failure_probability: RatioRange,
    /// Chance that a connect gets no answer.
    pub connect_hang_probability: RatioRange,
    /// Chance that a read of a stream returns fewer bytes than have arrived.
    pub short_read_probability: RatioRange,
    /// Chance that a write to a stream takes fewer bytes than there is room for.
    pub short_write_probability: RatioRange,
    /// Chance that a write finds its connection reset.
    pub reset_probability: RatioRange,
}

impl Default for NetPlan {
    fn default() -> Self {
        const SECOND: u64 = 1_000_000_000;
        Self {
            latency: DurationRange::new(50_000, 500_000),
            window_bytes: 65_536,
            retransmit: DurationRange::new(SECOND / 5, 3 * SECOND),
            connect_timeout: DurationRange::just(127 * SECOND),
            send_timeout: DurationRange::just(924 * SECOND),
            drop_probability: RatioRange::NEVER,
            duplicate_probability: RatioRange::NEVER,
            reorder_probability: RatioRange::NEVER,
            reorder: DurationRange::new(1_000_000, 50_000_000),
            clog_probability: RatioRange::NEVER,
            clog: DurationRange::new(SECOND / 100, SECOND),
            partition_probability: RatioRange::NEVER,
            partition: DurationRange::new(SECOND / 10, 30 * SECOND),
            swizzle_probability: RatioRange::NEVER,
            swizzle: DurationRange::new(SECOND, 30 * SECOND),
            connect_failure_probability: RatioRange::NEVER,
            connect_hang_probability: RatioRange::NEVER,
            short_read_probability: RatioRange::NEVER,
            short_write_probability: RatioRange::NEVER,
            reset_probability: RatioRange::NEVER,
        }
    }
}

impl NetPlan {
    /// Whether a plan says nothing of the network: then its text leaves the table out.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Its durations by key, for the check of limits.
    pub(crate) fn durations(&self) -> [(&'static str, DurationRange); 8] {
        [
            ("net.latency", self.latency),
            ("net.retransmit", self.retransmit),
            ("net.connect_timeout", self.connect_timeout),
            ("net.send_timeout", self.send_timeout),
            ("net.reorder", self.reorder),
            ("net.clog", self.clog),
            ("net.partition", self.partition),
            ("net.swizzle", self.swizzle),
        ]
    }
}

/// One seed's network; the fields mean what they mean in [`NetPlan`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the plan's fields say it")]
pub struct NetFaults {
    pub latency: DurationRange,
    pub window_bytes: u64,
    pub retransmit: DurationRange,
    pub connect_timeout: DurationRange,
    pub send_timeout: DurationRange,
    pub drop_probability: Ratio,
    pub duplicate_probability: Ratio,
    pub reorder_probability: Ratio,
    pub reorder: DurationRange,
    pub clog_probability: Ratio,
    pub clog: DurationRange,
    pub partition_probability: Ratio,
    pub partition: DurationRange,
    pub swizzle_probability: Ratio,
    pub swizzle: DurationRange,
    pub connect_failure_probability: Ratio,
    pub connect_hang_probability: Ratio,
    pub short_read_probability: Ratio,
    pub short_write_probability: Ratio,
    pub reset_probability: Ratio,
}

impl NetFaults {
    /// What a plan fixes without a decision, and none of its kinds.
    pub(crate) fn calm(plan: &NetPlan) -> Self {
        Self {
            latency: plan.latency,
            window_bytes: plan.window_bytes,
            retransmit: plan.retransmit,
            connect_timeout: plan.connect_timeout,
            send_timeout: plan.send_timeout,
            drop_probability: Ratio::NEVER,
            duplicate_probability: Ratio::NEVER,
            reorder_probability: Ratio::NEVER,
            reorder: plan.reorder,
            clog_probability: Ratio::NEVER,
            clog: plan.clog,
            partition_probability: Ratio::NEVER,
            partition: plan.partition,
            swizzle_probability: Ratio::NEVER,
            swizzle: plan.swizzle,
            connect_failure_probability: Ratio::NEVER,
            connect_hang_probability: Ratio::NEVER,
            short_read_probability: Ratio::NEVER,
            short_write_probability: Ratio::NEVER,
            reset_probability: Ratio::NEVER,
        }
    }

    /// The same without its fault kinds: latencies, window and timeouts stay.
    #[must_use]
    pub fn healed(&self) -> Self {
        let never = Ratio::NEVER;
        Self {
            drop_probability: never,
            duplicate_probability: never,
            reorder_probability: never,
            clog_probability: never,
            partition_probability: never,
            swizzle_probability: never,
            connect_failure_probability: never,
            connect_hang_probability: never,
            short_read_probability: never,
            short_write_probability: never,
            reset_probability: never,
            ..self.clone()
        }
    }

    fn kinds(&self) -> [(&'static str, Ratio); 11] {
        [
            ("net_drop", self.drop_probability),
            ("net_duplicate", self.duplicate_probability),
            ("net_reorder", self.reorder_probability),
            ("net_clog", self.clog_probability),
            ("net_partition", self.partition_probability),
            ("net_swizzle", self.swizzle_probability),
            ("connect_failure", self.connect_failure_probability),
            ("connect_hang", self.connect_hang_probability),
            ("net_short_read", self.short_read_probability),
            ("net_short_write", self.short_write_probability),
            ("net_reset", self.reset_probability),
        ]
    }

    /// The names of the fault kinds that are on, as in tables.
    pub(crate) fn kinds_on(&self) -> impl Iterator<Item = &'static str> {
        let kinds = self.kinds().into_iter().filter(|(_, probability)| !probability.is_never());
        kinds.map(|(name, _)| name)
    }

    /// Whether nothing goes wrong by itself.
    pub fn is_quiet(&self) -> bool {
        self.kinds().iter().all(|(_, probability)| probability.is_never())
    }
}

impl Default for NetFaults {
    fn default() -> Self {
        Self::calm(&NetPlan::default())
    }
}

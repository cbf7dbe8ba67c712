//! One direction of a stream: bytes in order, each segment with the time at which it arrives.
//!
//! Nothing happens by itself: whoever looks says what time it is, and what has arrived by then is
//! there. Invariants: arrivals never go backwards, `available` bytes of `bytes` have arrived, the
//! segments hold the rest, and nothing follows the end.

use std::collections::VecDeque;
use std::io::Read;

/// A part of a stream under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// [`u64::MAX`]: it cannot arrive as things are.
    pub arrives: u64,
    /// When it was written.
    pub sent: u64,
    pub len: usize,
    /// Nothing comes after it.
    pub is_end: bool,
    /// It arrives only because its sender sends it again.
    pub again: bool,
}

impl Segment {
    /// When it arrives, if its sender does not give up before.
    #[inline]
    fn within(&self, limit: u64) -> u64 {
        match self.arrives <= self.sent.saturating_add(limit) {
            true => self.arrives,
            false => u64::MAX,
        }
    }
}

#[derive(Debug)]
pub(super) struct Pipe {
    /// How long its sender tries to send the same bytes.
    limit: u64,
    /// Written and not read, whether it has arrived or not.
    bytes: VecDeque<u8>,
    /// What has not arrived, or has since anybody looked.
    segments: VecDeque<Segment>,
    /// Bytes that have arrived.
    available: usize,
    /// When the last segment arrives.
    last: u64,
    /// Its end was sent.
    closed: bool,
    /// Its end has arrived.
    ended: bool,
    /// When a reset arrives.
    pub reset: Option<u64>,
    /// Bytes that were read, of which the sender has not heard.
    pub unheard: usize,
    /// The sender sends and does not hear of any arrival: since when, and until when.
    pub deaf: Option<(u64, u64)>,
}

impl Pipe {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            bytes: VecDeque::new(),
            segments: VecDeque::new(),
            available: 0,
            last: 0,
            closed: false,
            ended: false,
            reset: None,
            unheard: 0,
            deaf: None,
        }
    }

    /// Takes in what has arrived.
    #[inline]
    pub(super) fn look(&mut self, now: u64) {
        while let Some(segment) = self.segments.front()
            && segment.arrives <= now
        {
            self.available += segment.len;
            self.ended |= segment.is_end;
            self.segments.pop_front();
        }
        debug_assert!(self.available <= self.bytes.len(), "what has arrived was sent");
    }

    /// Puts a segment under way; it does not overtake the one before. Returns when it arrives.
    #[inline]
    pub(super) fn send(&mut self, bytes: &[u8], segment: Segment) -> u64 {
        assert!(!self.closed, "nothing follows the end of a stream");
        assert_eq!(bytes.len(), segment.len, "a segment is as long as its bytes");
        self.bytes.extend(bytes);
        self.closed = segment.is_end;
        self.last = self.last.max(segment.within(self.limit));
        self.segments.push_back(Segment { arrives: self.last, ..segment });
        self.last
    }

    /// Reads bytes that have arrived.
    #[inline]
    pub(super) fn take(&mut self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.available);
        self.bytes.read_exact(&mut buf[..len]).expect("what has arrived is there");
        self.available -= len;
        len
    }

    /// Whether bytes were sent that have not arrived.
    pub(super) fn has_bytes_under_way(&self, now: u64) -> bool {
        self.segments.iter().any(|segment| segment.len > 0 && segment.arrives > now)
    }

    #[inline]
    pub(super) fn available(&self) -> usize {
        self.available
    }

    /// Bytes that take up the window.
    #[inline]
    pub(super) fn held(&self) -> usize {
        self.bytes.len() + self.unheard
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing is under way, as far as anybody has looked.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.segments.is_empty()
    }

    /// When the reader has to look again.
    #[inline]
    pub(super) fn next_arrival(&self) -> u64 {
        let segment = self.segments.front().map_or(u64::MAX, |segment| segment.arrives);
        segment.min(self.reset.unwrap_or(u64::MAX))
    }

    /// When the last of it arrives: a reset does not overtake it.
    pub(super) fn last_arrival(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.arrives)
    }

    /// When something arrives that has not yet: bytes, or the end if that `counts`.
    pub(super) fn next_segment(&self, end_counts: bool) -> Option<u64> {
        let next = self.segments.iter().find(|segment| segment.len > 0 || end_counts);
        next.map(|segment| segment.arrives)
    }

    /// Whether the sender may have to give up.
    #[inline]
    pub(super) fn is_in_doubt(&self) -> bool {
        self.last == u64::MAX || self.deaf.is_some()
    }

    /// When the sender gives up, as things are: a segment does not arrive in time, or word of it
    /// does not come back in time.
    pub(super) fn gives_up_at(&mut self, now: u64) -> u64 {
        let deadline = |since: u64| since.saturating_add(self.limit);
        let stuck = self.segments.iter().find(|segment| segment.arrives == u64::MAX);
        let stuck = stuck.map_or(u64::MAX, |segment| deadline(segment.sent));
        match self.deaf {
            Some((since, until)) if until > deadline(since) => stuck.min(deadline(since)),
            Some((_, until)) if until <= now => {
                self.deaf = None;
                stuck
            }
            _ => stuck,
        }
    }

    /// Gives each segment that has not arrived a new arrival: `transit` says when, from the old
    /// one, or that it stays. Order is kept.
    pub(super) fn send_again(&mut self, mut transit: impl FnMut(u64) -> Option<(u64, bool)>) {
        let mut last = 0;
        for segment in &mut self.segments {
            if let Some((arrives, again)) = transit(segment.arrives) {
                segment.arrives = arrives;
                segment.again |= again;
            }
            last = segment.within(self.limit).max(last);
            segment.arrives = last;
        }
        self.last = last;
    }

    /// The sender will not send anything again: what needs that is lost, and all behind it.
    pub(super) fn lose_what_is_sent_again(&mut self) {
        let kept = self.segments.iter().position(|segment| segment.again);
        let kept = kept.unwrap_or(self.segments.len());
        let lost: usize = self.segments.iter().skip(kept).map(|segment| segment.len).sum();
        self.segments.truncate(kept);
        self.bytes.truncate(self.bytes.len() - lost);
        self.closed = true;
        self.last = self.last_arrival();
    }

    /// The sender knows nothing of it any more.
    pub(super) fn lose_what_has_not_arrived(&mut self) {
        self.segments.clear();
        self.bytes.truncate(self.available);
        self.closed = true;
        self.last = 0;
    }

    /// The receiver's memory is gone: what it had is lost, the rest cannot arrive.
    pub(super) fn lose_receiver(&mut self) {
        self.bytes.drain(..self.available);
        self.available = 0;
        self.send_again(|_| Some((u64::MAX, true)));
    }
}

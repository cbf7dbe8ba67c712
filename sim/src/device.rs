//! The device's faults in a world: damage to what it holds, pages that go astray, lies about what
//! is durable, and slowness.

use seedbed_faults::{OpKind, Ratio};

use crate::calls::Call;
use crate::disk::{Damage, Disk};
use crate::node::{CrashKind, NodeId};
use crate::stats::FaultKind;
use crate::world::{Losses, Note, Stop, World};

/// A device's state in a node, as far as time goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// Nothing is done before.
    frozen_until: u64,
    /// When each operation that it works on is done.
    busy_until: Vec<u64>,
    /// Operations that never return: when the node is reset because of each.
    hung: Vec<(u64, CrashKind)>,
}

impl Queue {
    /// The device is quick again; what hangs, hangs.
    pub(crate) fn thaw(&mut self) {
        self.frozen_until = 0;
        self.busy_until.clear();
    }
}

impl World {
    /// Damage to what lies on a disk whose node is down.
    pub(crate) fn damage_at_rest(&mut self, id: NodeId) {
        let device = &self.faults.device;
        let (rot, latent) = (device.bit_rot_probability, device.latent_error_probability);
        self.media_fault(id, ("rot", rot), |disk, mut losses| {
            let damage = disk.rot(&mut losses)?;
            let kind = if damage.len > 1 { FaultKind::SectorRot } else { FaultKind::BitRot };
            Some((kind, damage))
        });
        self.media_fault(id, ("latent", latent), |disk, mut losses| {
            Some((FaultKind::LatentError, disk.make_unreadable(&mut losses)?))
        });
    }

    /// Pages of a file that go astray when it is synced.
    pub(crate) fn damage_at_sync(&mut self, call: Call<'_>) {
        let (id, Some(ino)) = (NodeId(call.env.node), call.ino) else { return };
        let device = &self.faults.device;
        let (lost, misdirected) =
            (device.lost_write_probability, device.misdirected_write_probability);
        if !device.stale_read_probability.is_never() {
            self.nodes[id.0 as usize].disk.keep_stale(ino);
        }
        self.media_fault(id, ("fault.lost_write", lost), |disk, mut losses| {
            Some((FaultKind::LostWrite, disk.lose_write(ino, &mut losses)?))
        });
        self.media_fault(id, ("fault.misdirected_write", misdirected), |disk, mut losses| {
            Some((FaultKind::MisdirectedWrite, disk.misdirect_write(ino, &mut losses)?))
        });
    }

    /// One media fault, with a chance, if the budget has one left.
    fn media_fault(
        &mut self,
        id: NodeId,
        (label, probability): (&'static str, Ratio),
        damage: impl FnOnce(&mut Disk, Losses<'_>) -> Option<(FaultKind, Damage)>,
    ) {
        if !self.has_media_budget(id) || !self.choices.chance(label, probability) {
            return;
        }
        let losses = Losses::new(&mut self.choices, &self.faults);
        let disk = &mut self.nodes[id.0 as usize].disk;
        let Some((kind, damage)) = damage(disk, losses) else { return };
        self.spend_media_fault(id, kind);
        self.digest.bytes(damage.what.as_bytes());
        self.log(id, || Note {
            op: kind.name(),
            subject: damage.path,
            detail: damage.what,
            cause: Some(kind.name()),
            ..Note::default()
        });
    }

    pub(crate) fn has_media_budget(&self, id: NodeId) -> bool {
        let node = &self.nodes[id.0 as usize];
        node.damage.may && node.media_faults < self.faults.device.media_fault_max
    }

    pub(crate) fn spend_media_fault(&mut self, id: NodeId, kind: FaultKind) {
        self.nodes[id.0 as usize].media_faults += 1;
        self.stats.count_fault(kind);
        self.note_fault(id.0 as usize, kind);
    }

    /// A read that gets other bytes than it should, if it does: which kind.
    pub(crate) fn misread(&mut self, call: Call<'_>) -> Option<FaultKind> {
        let id = NodeId(call.env.node);
        let device = &self.faults.device;
        let (stale, other) = (device.stale_read_probability, device.misdirected_read_probability);
        if call.op != OpKind::Read || !self.has_media_budget(id) {
            return None;
        }
        if self.choices.chance("fault.stale_read", stale) {
            return Some(FaultKind::StaleRead);
        }
        self.choices.chance("fault.misdirected_read", other).then_some(FaultKind::MisdirectedRead)
    }

    /// When a call returns that would return at `at`.
    pub(crate) fn queue(&mut self, call: Call<'_>, at: u64) -> u64 {
        let device = &self.faults.device;
        let (stall, slow_sync) = (device.stall_probability, device.slow_sync_probability);
        let (range, rate) = (device.stall, device.bytes_per_second);
        let depth = device.queue_depth as usize;
        let moves = matches!(call.op, OpKind::Read | OpKind::Write);
        let bytes = if moves { call.len as u64 } else { 0 };
        let transfer = bytes.saturating_mul(1_000_000_000).checked_div(rate);
        let mut latency = (at - self.now).saturating_add(transfer.unwrap_or(0));
        let freezes = self.choices.chance("fault.stall", stall);
        if freezes || call.writes_back() && self.choices.chance("fault.slow_sync", slow_sync) {
            let ns = range.min_ns + self.choices.choose("stall", range.span());
            latency = latency.saturating_add(ns);
            self.stats.count_fault(if freezes { FaultKind::Stall } else { FaultKind::SlowSync });
            self.digest.word(ns);
        }
        let now = self.now;
        let queue = &mut self.nodes[call.env.node as usize].queue;
        let mut start = now.max(queue.frozen_until);
        let waits = depth > 0 && (call.op == OpKind::Read || call.writes_back());
        if waits {
            queue.busy_until.retain(|until| *until > now);
            queue.busy_until.sort_unstable();
            let ahead = queue.busy_until.len();
            if ahead >= depth {
                start = start.max(queue.busy_until[ahead - depth]);
            }
        }
        let end = start.saturating_add(latency);
        if waits {
            queue.busy_until.push(end);
        }
        if freezes {
            queue.frozen_until = queue.frozen_until.max(end);
        }
        end
    }

    /// Whether a call hangs, and until when its node is left alone.
    pub(crate) fn hangs(&mut self, call: Call<'_>) -> Option<u64> {
        let (probability, range) = (self.faults.device.hang_probability, self.faults.device.hang);
        let may_hang = self.nodes[call.env.node as usize].disk_faults.may && self.may_go_down();
        if !may_hang || !self.choices.chance("fault.hang", probability) {
            return None;
        }
        let ns = range.min_ns + self.choices.choose("hang", range.span());
        let kind = match self.choices.choose("hang.power_loss", 2) {
            0 => CrashKind::Process,
            _ => CrashKind::PowerLoss,
        };
        let until = self.now.saturating_add(ns);
        self.nodes[call.env.node as usize].queue.hung.push((until, kind));
        self.stats.count_fault(FaultKind::Hang);
        self.note_fault(call.env.node as usize, FaultKind::Hang);
        self.mark_hang(NodeId(call.env.node));
        self.digest.word(until);
        Some(until)
    }

    /// Somebody has waited for a call that does not return until `at`: the node whose operation
    /// hangs until then is reset. Those for which nobody waits any more are not asked for. If it
    /// would be one node too many that is down, gives when to ask again.
    pub(crate) fn reset_hung(&mut self, at: u64) -> Option<u64> {
        for index in 0..self.node_count {
            let hung = &mut self.nodes[index].queue.hung;
            let Some(found) = hung.iter().position(|(until, _)| *until == at) else { continue };
            let (_, kind) = hung.remove(found);
            if let Some(later) = self.reset_put_off(at) {
                self.nodes[index].queue.hung.push((later, kind));
                return Some(later);
            }
            if self.stop.is_none() {
                self.crashes_left += 1;
                self.stop = Some(Stop::Crashed(NodeId(index as u16), kind));
            }
            break;
        }
        None
    }
}

#[cfg(test)]
mod tests;

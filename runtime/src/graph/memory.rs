//! Shares memory between buffers that are never alive at once.

use super::{BufId, Buffer, NormPart, Op};

impl Op {
    /// The buffers it reads and the one it writes.
    pub fn buffers(&self) -> (Vec<BufId>, BufId) {
        match self {
            Op::Embed { add, out, .. } => (if *add { vec![*out] } else { vec![] }, *out),
            Op::Norm { x, add, out, .. } | Op::MatMul { x, add, out, .. } => {
                ([Some(*x), *add].into_iter().flatten().collect(), *out)
            }
            Op::RopeStore { qkv, .. } => (vec![*qkv], *qkv),
            Op::Store { kv, .. } => (vec![*kv], *kv),
            Op::Attention { qkv, out, .. } => (vec![*qkv], *out),
            Op::Activate { x, out, .. } | Op::Route { x, out, .. } => (vec![*x], *out),
            Op::Experts { x, routes, out, .. } => (vec![*x, *routes], *out),
            Op::Combine { x, weights, add, out, .. } => {
                ([Some(*x), Some(*weights), *add].into_iter().flatten().collect(), *out)
            }
            // what other columns hold stays
            Op::Heads { x, out, .. } | Op::Take { x, out, .. } => (vec![*x, *out], *out),
            Op::NormPart(NormPart { x, .. }) | Op::Scale { x, .. } => (vec![*x], *x),
            Op::Conv(conv) => (vec![conv.x], conv.out),
            Op::Scan(scan) => (vec![scan.x, scan.bc, scan.dt], scan.out),
            Op::DeltaRule(rule) => (vec![rule.qkv, rule.gates], rule.out),
            Op::Shift(shift) => (vec![shift.x], shift.out),
            Op::Lerp(lerp) => {
                ([Some(lerp.x), Some(lerp.to), lerp.by.map(|by| by.0)].into_iter().flatten().collect(), lerp.out)
            }
            Op::Wkv(wkv) => (vec![wkv.r, wkv.gates, wkv.k, wkv.v], wkv.out),
            Op::Gate { x, gate, .. } => (vec![*x, *gate], *x),
        }
    }
}

/// Gives each buffer a slot; returns the slots' widths. Buffers of the encoder and the body have `max_batch` rows and head buffers
/// fewer, so that these never share. `hidden` is read by the head and keeps its slot. A slot is free again after its last reader.
pub(super) fn assign(buffers: &mut [Buffer], encoder: &[Op], body: &[Op], head: &[Op], hidden: BufId) -> Vec<usize> {
    let mut slots = Vec::new();
    let mut taken = vec![false; buffers.len()];
    for (ops, narrow) in [(encoder, false), (body, false), (head, true)] {
        let first_slot = if narrow { slots.len() } else { 0 };
        let mut last_use = vec![0; buffers.len()];
        for (at, op) in ops.iter().enumerate() {
            let (reads, write) = op.buffers();
            for buf in reads.into_iter().chain([write]) {
                last_use[buf.0 as usize] = at;
            }
        }
        last_use[hidden.0 as usize] = usize::MAX;
        // the encoder is done when the body starts
        let (mut free, mut ended): (Vec<usize>, Vec<usize>) = ((first_slot..slots.len()).rev().collect(), Vec::new());
        for (at, op) in ops.iter().enumerate() {
            let (reads, write) = op.buffers();
            let index = write.0 as usize;
            if !taken[index] {
                taken[index] = true;
                let slot = free.pop().unwrap_or_else(|| {
                    slots.push(0);
                    slots.len() - 1
                });
                slots[slot] = slots[slot].max(buffers[index].width);
                buffers[index].slot = slot;
            }
            let mut used: Vec<BufId> = reads.into_iter().chain([write]).collect();
            used.sort_by_key(|buf| buf.0);
            used.dedup();
            let done = used.into_iter().filter(|buf| last_use[buf.0 as usize] == at);
            let done = done.map(|buf| buffers[buf.0 as usize].slot).filter(|&slot| slot >= first_slot);
            free.extend(std::mem::replace(&mut ended, done.collect()));
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Lookup, NormKind, WeightId};

    fn norm(x: u16, add: Option<u16>, out: u16) -> Op {
        Op::Norm {
            kind: NormKind::Rms,
            x: BufId(x),
            weight: WeightId(0),
            bias: None,
            add: add.map(BufId),
            out: BufId(out),
        }
    }

    fn glu(x: u16, out: u16) -> Op {
        Op::Activate { x: BufId(x), parts: 1, activation: Activation::Silu, gated: true, out: BufId(out) }
    }

    /// Two half-blocks over a residual stream (buffer 0), then a head.
    fn example() -> (Vec<Buffer>, Vec<Op>, Vec<Op>) {
        let widths = [8, 8, 16, 8, 8, 32, 16, 8, 100];
        let buffers = widths.map(|width| Buffer { width, slot: 0 }).to_vec();
        let embed = Op::Embed { table: WeightId(0), by: Lookup::Token, scale: 1.0, add: false, out: BufId(0) };
        let body = vec![
            embed,
            norm(0, None, 1),
            glu(1, 2),
            glu(2, 3),
            norm(3, Some(0), 0),
            norm(0, None, 4),
            glu(4, 5),
            glu(5, 6),
            norm(6, Some(0), 0),
        ];
        let head = vec![norm(0, None, 7), glu(7, 8)];
        (buffers, body, head)
    }

    /// Replays the ops, remembering which buffer's value each slot holds.
    fn first_clobbered(buffers: &[Buffer], ops: &[Op]) -> Option<BufId> {
        let mut holds = vec![None; buffers.len()];
        for op in ops {
            let (reads, write) = op.buffers();
            let stale = |buf: &BufId| holds[buffers[buf.0 as usize].slot] != Some(*buf);
            if let Some(buf) = reads.iter().find(|buf| stale(buf)) {
                return Some(*buf);
            }
            holds[buffers[write.0 as usize].slot] = Some(write);
        }
        None
    }

    #[test]
    fn no_buffer_is_overwritten_while_it_is_needed() {
        let (mut buffers, body, head) = example();
        let slots = assign(&mut buffers, &[], &body, &head, BufId(0));
        let ops: Vec<Op> = body.into_iter().chain(head).collect();
        assert_eq!(first_clobbered(&buffers, &ops), None);
        assert!(slots.len() < buffers.len(), "nothing was shared: {slots:?}");
        assert!(buffers.iter().all(|buf| slots[buf.slot] >= buf.width));
        // the check itself can fail
        buffers[3].slot = buffers[0].slot;
        assert!(first_clobbered(&buffers, &ops).is_some());
    }
}

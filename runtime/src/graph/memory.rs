//! Shares memory between buffers that are never alive at once.

use super::{BufId, Buffer, Op};

impl Op {
    /// The buffers it reads and the one it writes.
    pub fn buffers(&self) -> (Vec<BufId>, BufId) {
        match self {
            Op::Embed { out, .. } => (vec![], *out),
            Op::RmsNorm { x, add, out, .. } | Op::MatMul { x, add, out, .. } => {
                ([Some(*x), *add].into_iter().flatten().collect(), *out)
            }
            Op::RopeStore { qkv, .. } => (vec![*qkv], *qkv),
            Op::Attention { qkv, out, .. } => (vec![*qkv], *out),
            Op::Glu { x, out, .. } => (vec![*x], *out),
            Op::Softcap { x, .. } => (vec![*x], *x),
        }
    }
}

/// Gives each buffer a slot; returns the slots' widths. Body buffers have `max_batch` rows and head buffers fewer, so the
/// two never share. `hidden` is read by the head and keeps its slot. A slot is free again after its last reader.
pub(super) fn assign(buffers: &mut [Buffer], body: &[Op], head: &[Op], hidden: BufId) -> Vec<usize> {
    let mut slots = Vec::new();
    let mut taken = vec![false; buffers.len()];
    for ops in [body, head] {
        let first_slot = slots.len();
        let mut last_use = vec![0; buffers.len()];
        for (at, op) in ops.iter().enumerate() {
            let (reads, write) = op.buffers();
            for buf in reads.into_iter().chain([write]) {
                last_use[buf.0 as usize] = at;
            }
        }
        last_use[hidden.0 as usize] = usize::MAX;
        let mut free: Vec<usize> = Vec::new();
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
            free.extend(done.map(|buf| buffers[buf.0 as usize].slot).filter(|&slot| slot >= first_slot));
        }
    }
    slots
}

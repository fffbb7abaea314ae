//! F32, F16 and BF16: the elements as they are, in quadruples of words.

use super::{Layout, Quad, word};

pub(super) const F32: Layout =
    Layout { name: "f32", block: 32, bytes: 128, quads: 8, scales: 0, table: &[], repack: words };
pub(super) const F16: Layout =
    Layout { name: "f16", block: 32, bytes: 64, quads: 4, scales: 0, table: &[], repack: words };
pub(super) const BF16: Layout =
    Layout { name: "bf16", block: 32, bytes: 64, quads: 4, scales: 0, table: &[], repack: words };

fn words(bytes: &[u8], quads: &mut [Quad], _: &mut [u32]) {
    for (i, quad) in quads.iter_mut().enumerate() {
        *quad = std::array::from_fn(|j| word(bytes, 16 * i + 4 * j));
    }
}

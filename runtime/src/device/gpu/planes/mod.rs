//! How each tensor type lies in GPU memory: two planes of 32-bit words, the same size as in the file up to padding.
//!
//! 32 rows make a tile and 32 columns a unit. The first plane holds the quants as word quadruples, the second scales,
//! offsets and high bits; both go tile by tile, block by block, word by word, and innermost row by row, so that
//! neighbouring GPU invocations, each with its own row, read neighbouring words. `shaders/wgsl/quant/<type>.wgsl` is the
//! other half of each file here.

mod float;
mod grids;
mod k_quants;
mod legacy;
mod levels;
mod pairs;

use crate::quant::TensorType;

/// Rows of a tile.
pub(super) const TILE: usize = 32;
/// Columns of a unit.
pub(super) const UNIT: usize = 32;

/// Four words of the quants plane.
pub(super) type Quad = [u32; 4];

/// The planes of one tensor type.
pub(super) struct Layout {
    /// The value of the shaders' TYPE axis.
    pub(super) name: &'static str,
    /// Columns of a block of the planes: a multiple of `UNIT` and of the type's own block.
    pub(super) block: usize,
    /// Bytes of such a block in the file.
    pub(super) bytes: usize,
    /// Quadruples per block and row in the first plane.
    pub(super) quads: usize,
    /// Words per block and row in the second plane; 0 where there is none.
    pub(super) scales: usize,
    /// A codebook, which stands once behind the scales: an even number of vectors of 16 bits.
    pub(super) table: &'static [u16],
    /// Repacks one block of one row.
    pub(super) repack: fn(&[u8], &mut [Quad], &mut [u32]),
}

const LAYOUTS: &[(TensorType, Layout)] = &[
    (TensorType::F32, float::F32),
    (TensorType::F16, float::F16),
    (TensorType::BF16, float::BF16),
    (TensorType::Q4_0, legacy::Q4_0),
    (TensorType::Q4_1, legacy::Q4_1),
    (TensorType::Q5_0, legacy::Q5_0),
    (TensorType::Q5_1, legacy::Q5_1),
    (TensorType::Q8_0, legacy::Q8_0),
    (TensorType::Q2_K, pairs::Q2_K),
    (TensorType::Q3_K, pairs::Q3_K),
    (TensorType::Q4_K, k_quants::Q4_K),
    (TensorType::Q5_K, k_quants::Q5_K),
    (TensorType::Q6_K, k_quants::Q6_K),
    (TensorType::IQ1_S, grids::IQ1_S),
    (TensorType::IQ1_M, grids::IQ1_M),
    (TensorType::IQ2_XXS, grids::IQ2_XXS),
    (TensorType::IQ2_XS, grids::IQ2_XS),
    (TensorType::IQ2_S, grids::IQ2_S),
    (TensorType::IQ3_XXS, grids::IQ3_XXS),
    (TensorType::IQ3_S, grids::IQ3_S),
    (TensorType::IQ4_NL, levels::IQ4_NL),
    (TensorType::IQ4_XS, levels::IQ4_XS),
    (TensorType::MXFP4, levels::MXFP4),
    (TensorType::NVFP4, levels::NVFP4),
    (TensorType::TQ1_0, pairs::TQ1_0),
    (TensorType::TQ2_0, pairs::TQ2_0),
    (TensorType::Q1_0, pairs::Q1_0),
    (TensorType::Q2_0, pairs::Q2_0),
];

/// The planes of `ty`, if the GPU device has kernels for it.
pub(super) fn layout(ty: TensorType) -> Option<&'static Layout> {
    LAYOUTS.iter().find(|row| row.0 == ty).map(|row| &row.1)
}

impl Layout {
    /// Blocks of a row.
    pub(super) fn blocks(&self, cols: usize) -> usize {
        cols.div_ceil(self.block)
    }
    /// Units of a row, padding included.
    pub(super) fn units(&self, cols: usize) -> usize {
        self.blocks(cols) * (self.block / UNIT)
    }
    /// Bytes of one tile in the first and second plane.
    pub(super) fn tile_bytes(&self, cols: usize) -> (usize, usize) {
        let blocks = self.blocks(cols) * TILE;
        (blocks * self.quads * 16, blocks * self.scales * 4)
    }

    /// Bytes of the table.
    pub(super) fn table_bytes(&self) -> usize {
        size_of_val(self.table)
    }

    /// Repacks whole tiles: `rows` holds rows of `row_bytes` bytes; a last tile that is not full is padded with zeros.
    pub(super) fn tiles(&self, rows: &[u8], row_bytes: usize, cols: usize) -> (Vec<Quad>, Vec<u32>) {
        let tiles = (rows.len() / row_bytes).div_ceil(TILE);
        let blocks = self.blocks(cols);
        let mut quads = vec![Quad::default(); tiles * blocks * self.quads * TILE];
        let mut scales = vec![0; tiles * blocks * self.scales * TILE];
        let mut padded = vec![0; self.bytes];
        let (mut quad, mut scale) = (vec![Quad::default(); self.quads], vec![0; self.scales]);
        for (row, bytes) in rows.chunks_exact(row_bytes).enumerate() {
            for (block, bytes) in bytes.chunks(self.bytes).enumerate() {
                padded.fill(0);
                padded[..bytes.len()].copy_from_slice(bytes);
                (self.repack)(&padded, &mut quad, &mut scale);
                let first = row / TILE * blocks + block;
                scatter(&quad, &mut quads, first, row % TILE);
                scatter(&scale, &mut scales, first, row % TILE);
            }
        }
        (quads, scales)
    }
}

/// Puts a row's words of block `block` (counted over all tiles) where its tile wants them.
fn scatter<T: Copy>(words: &[T], plane: &mut [T], block: usize, row: usize) {
    for (i, word) in words.iter().enumerate() {
        plane[(block * words.len() + i) * TILE + row] = *word;
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// The nibbles of 32 weights: byte b of word i holds weight 8i + b in its low half and weight 8i + 4 + b in its high half.
fn nibbles(q: impl Fn(usize) -> u8) -> Quad {
    let mut quad = Quad::default();
    for (i, word) in quad.iter_mut().enumerate() {
        for b in 0..4 {
            let low = u32::from(q(8 * i + b) & 15);
            let high = u32::from(q(8 * i + 4 + b) & 15);
            *word |= (low | high << 4) << (8 * b);
        }
    }
    quad
}

/// The fifth bits of 32 weights, from a function whose lowest bit is weight l's: bit 8b + k is weight 4k + b's.
fn fifth_bits(bit: impl Fn(usize) -> u32) -> u32 {
    (0..32).map(|l| (bit(l) & 1) << (8 * (l % 4) + l / 4)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_equal_the_file_up_to_padding() {
        for (ty, layout) in LAYOUTS {
            assert_eq!(layout.bytes, ty.row_bytes(layout.block), "{}", layout.name);
            let planes = layout.quads * 16 + layout.scales * 4;
            let most = layout.bytes + if *ty == TensorType::TQ1_0 { 14 } else { 2 };
            assert!(planes >= layout.bytes && planes <= most, "{}: {planes} bytes", layout.name);
            assert!(layout.table_bytes() % 4 == 0 && (layout.table.is_empty() || layout.scales > 0), "{}", layout.name);
        }
    }

    #[test]
    fn tiles_are_padded_with_zero_rows() {
        let layout = layout(TensorType::F32).expect("F32 has planes");
        let row: Vec<u8> = (0..33 * 4u32).map(|i| i as u8).collect();
        let (quads, scales) = layout.tiles(&row, row.len(), 33);
        assert_eq!((quads.len(), scales.len()), (2 * 8 * TILE, 0));
        assert_eq!(quads[0], [0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c]);
        assert_eq!(quads[8 * TILE], [0x83828180, 0, 0, 0]); // column 32, then padding
        assert!(quads.iter().skip(1).step_by(TILE).all(|quad| *quad == Quad::default())); // row 1
    }
}

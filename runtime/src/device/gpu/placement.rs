//! Decides where each weight of a plan lies: matrices in slabs (plane buffers of one type and width), vectors in one arena.
//!
//! Neighbouring matrices of one product share a slab, so that q, k and v take one dispatch; a matrix over the binding limit
//! is split by rows into several slabs.

use std::collections::HashMap;

use super::planes::{Layout, TILE, layout};
use crate::error::{Error, Result};
use crate::graph::{Linear, Op, Plan, WeightId};

/// A pair of plane buffers to be.
pub(super) struct Slab {
    pub(super) layout: &'static Layout,
    pub(super) cols: usize,
    pub(super) rows: usize,
}

/// Rows `first..first + rows` of a weight, as rows `slab_row..` of a slab.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) slab: usize,
    pub(super) slab_row: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
}

/// Where in the arena a vector, or a stretch of it, is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) first: usize,
    pub(super) len: usize,
    /// Byte offset in the arena.
    pub(super) offset: u64,
}

/// One dispatch of a product: rows of a slab, to columns of the output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) slab: usize,
    pub(super) slab_row: usize,
    pub(super) rows: usize,
    pub(super) out_column: usize,
    /// Byte offset of `rows` f32 in the arena.
    pub(super) bias: Option<u64>,
}

/// Where everything lies.
#[derive(Default)]
pub(super) struct Placement {
    pub(super) slabs: Vec<Slab>,
    /// Pieces of each matrix, by weight; empty for vectors.
    pub(super) pieces: Vec<Vec<Piece>>,
    /// Stretches of each vector, by weight; empty for matrices.
    pub(super) stretches: Vec<Vec<Stretch>>,
    /// Offset of each vector that is used whole (norms), by weight.
    pub(super) vectors: HashMap<WeightId, u64>,
    /// Segments of each product, by its first weight and output width: in the order of the plan's `MatMul`s.
    pub(super) products: Vec<Vec<Segment>>,
    pub(super) arena_bytes: u64,
}

/// What the device allows.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Bytes of one storage binding.
    pub(super) binding: u64,
    /// Alignment of a binding's offset.
    pub(super) alignment: u64,
}

impl Placement {
    pub(super) fn new(plan: &Plan, limits: Limits) -> Result<Self> {
        let mut this = Self::default();
        this.pieces.resize(plan.weights.len(), Vec::new());
        this.stretches.resize(plan.weights.len(), Vec::new());
        for op in plan.ops() {
            match op {
                Op::Embed { table, .. } => this.place(plan, &[*table], limits)?,
                Op::Norm { weight, bias, .. } => this.vectors(plan, &[Some(*weight), *bias], limits),
                Op::NormPart(norm) => this.vectors(plan, &[norm.weight, norm.bias], limits),
                Op::Scale { by, .. } => this.vectors(plan, &[*by], limits),
                Op::Conv(conv) => this.vectors(plan, &[Some(conv.weight), conv.bias], limits),
                Op::Scan(scan) => this.vectors(plan, &[Some(scan.a), Some(scan.d), scan.dt_bias], limits),
                Op::DeltaRule(rule) => this.vectors(plan, &[Some(rule.a), Some(rule.dt_bias)], limits),
                Op::Lerp(lerp) => this.vectors(plan, &[lerp.weight.map(|weight| weight.0)], limits),
                Op::Wkv(wkv) => {
                    this.vector(plan, wkv.bonus, limits);
                    wkv.delta.iter().flatten().for_each(|id| this.vector(plan, *id, limits));
                }
                Op::Route { bias: Some(bias), .. } => this.vector(plan, *bias, limits),
                Op::Heads { weight, .. } => this.place(plan, &[*weight], limits)?,
                Op::MatMul { linears, .. } => this.product(plan, linears, limits)?,
                Op::Experts { linears, .. } => {
                    for linear in linears {
                        this.place(plan, &[linear.weight], limits)?;
                        if let Some(bias) = linear.bias {
                            this.vector(plan, bias, limits);
                        }
                    }
                }
                _ => {}
            }
        }
        for layer in &plan.layers {
            let relative = layer.relative.map(|relative| relative.table);
            this.vectors(plan, &[layer.q_norm, layer.k_norm, layer.sinks, relative], limits);
        }
        Ok(this)
    }

    fn vectors(&mut self, plan: &Plan, weights: &[Option<WeightId>], limits: Limits) {
        weights.iter().flatten().for_each(|id| self.vector(plan, *id, limits));
    }

    /// Reserves arena space for a vector that is used whole.
    fn vector(&mut self, plan: &Plan, weight: WeightId, limits: Limits) {
        let len = plan.weight(weight).cols;
        if !self.vectors.contains_key(&weight) {
            let offset = self.reserve(len, limits);
            self.vectors.insert(weight, offset);
            self.stretches[weight.0 as usize].push(Stretch { first: 0, len, offset });
        }
    }

    fn reserve(&mut self, len: usize, limits: Limits) -> u64 {
        let offset = self.arena_bytes;
        self.arena_bytes = (offset + 4 * len.max(1) as u64).next_multiple_of(limits.alignment);
        offset
    }

    fn product(&mut self, plan: &Plan, linears: &[Linear], limits: Limits) -> Result<()> {
        let mut rest = linears;
        while let Some(first) = rest.first() {
            let run = rest.iter().take_while(|next| alike(plan, first, next)).count();
            let ids: Vec<WeightId> = rest[..run].iter().map(|linear| linear.weight).collect();
            self.place(plan, &ids, limits)?;
            rest = &rest[run..];
        }
        let segments = self.segments(plan, linears);
        let segments = segments.into_iter().map(|(segment, parts)| self.with_bias(segment, &parts, limits)).collect();
        self.products.push(segments);
        Ok(())
    }

    /// Gives slabs to matrices of one type and width that have none yet: one for all if they fit, else each its own.
    fn place(&mut self, plan: &Plan, ids: &[WeightId], limits: Limits) -> Result<()> {
        let first = plan.weight(ids[0]);
        let planes = layout(first.ty)
            .ok_or_else(|| Error::Internal(format!("no planes for {}, which was checked before", first.ty.name())))?;
        let tile = planes.tile_bytes(first.cols);
        let most_tiles = (limits.binding / tile.0.max(1) as u64)
            .min(limits.binding.saturating_sub(planes.table_bytes() as u64) / tile.1.max(1) as u64);
        if most_tiles == 0 {
            return Err(Error::Unsupported(format!("rows of '{}' are too long for this device", first.name)));
        }
        let most = usize::try_from(most_tiles).unwrap_or(usize::MAX).saturating_mul(TILE);
        let rows: Vec<usize> = ids.iter().map(|id| plan.weight(*id).rows).collect();
        let (last, before) = rows.split_last().expect("a product has a matrix");
        let fresh = |id: &WeightId| self.pieces[id.0 as usize].is_empty();
        let distinct = ids.iter().enumerate().all(|(i, id)| fresh(id) && !ids[..i].contains(id));
        let fits = before.iter().all(|n| n % TILE == 0) && before.iter().sum::<usize>() + last <= most;
        if distinct && fits {
            self.share(ids, &rows, planes, first.cols);
        } else {
            for (id, rows) in ids.iter().zip(rows) {
                self.split(*id, rows, most, planes, first.cols);
            }
        }
        Ok(())
    }

    fn share(&mut self, ids: &[WeightId], rows: &[usize], layout: &'static Layout, cols: usize) {
        let slab = self.slabs.len();
        self.slabs.push(Slab { layout, cols, rows: rows.iter().sum() });
        let mut slab_row = 0;
        for (id, &rows) in ids.iter().zip(rows) {
            self.pieces[id.0 as usize].push(Piece { slab, slab_row, first: 0, rows });
            slab_row += rows;
        }
    }

    fn split(&mut self, id: WeightId, rows: usize, most: usize, layout: &'static Layout, cols: usize) {
        let pieces = &mut self.pieces[id.0 as usize];
        if !pieces.is_empty() {
            return;
        }
        for first in (0..rows).step_by(most) {
            let rows = most.min(rows - first);
            pieces.push(Piece { slab: self.slabs.len(), slab_row: 0, first, rows });
            self.slabs.push(Slab { layout, cols, rows });
        }
    }

    /// The pieces of a product in order of output columns, with what they were made of; neighbours in a slab are joined.
    fn segments<'a>(&self, plan: &Plan, linears: &'a [Linear]) -> Vec<(Segment, Vec<(&'a Linear, Piece)>)> {
        let mut joined: Vec<(Segment, Vec<(&Linear, Piece)>)> = Vec::new();
        let mut column = 0;
        for linear in linears {
            for piece in &self.pieces[linear.weight.0 as usize] {
                let out_column = column + piece.first;
                match joined.last_mut() {
                    Some((last, parts)) if follows(last, piece, out_column) => {
                        last.rows += piece.rows;
                        parts.push((linear, *piece));
                    }
                    _ => {
                        let Piece { slab, slab_row, rows, .. } = *piece;
                        joined.push((Segment { slab, slab_row, rows, out_column, bias: None }, vec![(linear, *piece)]));
                    }
                }
            }
            column += plan.weight(linear.weight).rows;
        }
        joined
    }

    fn with_bias(&mut self, mut segment: Segment, parts: &[(&Linear, Piece)], limits: Limits) -> Segment {
        if parts.iter().all(|(linear, _)| linear.bias.is_none()) {
            return segment;
        }
        let start = self.reserve(segment.rows, limits);
        for (linear, piece) in parts {
            let Some(bias) = linear.bias else { continue };
            let offset = start + 4 * (piece.slab_row - segment.slab_row) as u64;
            self.stretches[bias.0 as usize].push(Stretch { first: piece.first, len: piece.rows, offset });
        }
        segment.bias = Some(start);
        segment
    }
}

fn alike(plan: &Plan, a: &Linear, b: &Linear) -> bool {
    let (a, b) = (plan.weight(a.weight), plan.weight(b.weight));
    (a.ty, a.cols) == (b.ty, b.cols)
}

fn follows(last: &Segment, piece: &Piece, out_column: usize) -> bool {
    last.slab == piece.slab && last.slab_row + last.rows == piece.slab_row && last.out_column + last.rows == out_column
}

//! The calls of mixtures of experts.

use super::{Binding, Builder};
use crate::device::gpu::planes::TILE;
use crate::device::gpu::program::Grid;
use crate::graph::{BufId, Gating, Linear, Routing};

/// Slices of the columns in a workgroup of mat_vec_experts.
const SPLIT: u32 = 8;

impl Builder<'_> {
    pub(super) fn route(&mut self, x: BufId, routing: &Routing, out: BufId) {
        let fields = [
            ("n", self.plan().width(x) as u32),
            ("used", routing.used as u32),
            ("x_stride", self.stride(x)),
            ("out_stride", self.stride(out)),
            ("sigmoid", u32::from(routing.gating == Gating::Sigmoid)),
            ("normalized", u32::from(routing.normalized)),
        ];
        self.call("route", &fields, &[("x", self.slice(x)), ("out", self.slice(out))], self.per_row(1));
    }

    /// A dispatch for each part of each matrix, over tiles of an expert's rows, and over rows and the experts that they go to.
    pub(super) fn experts(&mut self, linears: &[Linear], x: BufId, routes: BufId, out: BufId) {
        let (used, stride) = (self.plan().width(routes) / 2, self.plan().width(out));
        let slot = stride / used;
        let mut column = 0;
        for linear in linears {
            let weight = self.plan().weight(linear.weight);
            let (cols, n) = (weight.cols, weight.rows / weight.experts);
            let own = if self.plan().width(x) == cols { 0 } else { cols };
            for piece in self.weights.placement.pieces[linear.weight.0 as usize].clone() {
                let layout = self.weights.placement.slabs[piece.slab].layout;
                let fields = [
                    ("k", cols as u32),
                    ("units", layout.units(cols) as u32),
                    ("first_row", piece.slab_row as u32),
                    ("first", piece.first as u32),
                    ("count", piece.rows as u32),
                    ("n", n as u32),
                    ("used", used as u32),
                    ("x_stride4", self.stride(x) / 4),
                    ("x_slot4", (own / 4) as u32),
                    ("routes_stride", self.stride(routes)),
                    ("out_stride", self.stride(out)),
                    ("out_slot", slot as u32),
                    ("out_column", column as u32),
                    ("has_bias", u32::from(linear.bias.is_some())),
                ];
                let mut buffers: Vec<Binding> = self.planes(piece.slab);
                buffers.push(("bias", self.optional(linear.bias)));
                buffers.extend([("x", self.slice(x)), ("routes", self.slice(routes)), ("out", self.slice(out))]);
                let grid = Grid::Parts { x: n.div_ceil(TILE) as u32, parts: used as u32 };
                self.call(&format!("mat_vec_experts.{}", layout.name), &fields, &buffers, grid);
                self.constants(&[("SPLIT", SPLIT)]);
            }
            column += n;
        }
    }

    pub(super) fn combine(
        &mut self,
        x: BufId,
        (weights, first, sigmoid): (BufId, usize, bool),
        add: Option<BufId>,
        out: BufId,
    ) {
        let accumulate = self.accumulate(add, out);
        let n = self.plan().width(out) as u32;
        let fields = [
            ("n", n),
            ("parts", (self.plan().width(x) / self.plan().width(out)) as u32),
            ("x_stride", self.stride(x)),
            ("weights_stride", self.stride(weights)),
            ("out_stride", self.stride(out)),
            ("first", first as u32),
            ("sigmoid", u32::from(sigmoid)),
            ("accumulate", accumulate),
        ];
        let buffers = [("x", self.slice(x)), ("weights", self.slice(weights)), ("out", self.slice(out))];
        self.call("combine", &fields, &buffers, self.per_row(n.div_ceil(super::WIDTH)));
    }
}

//! The calls of mixtures of experts, and of stacks of matrices.

use super::{Binding, Builder};
use crate::device::gpu::planes::TILE;
use crate::graph::{BufId, Columns, Gating, Groups, Linear, Routing, WeightId};

/// Slices of the columns in a workgroup of mat_vec_experts.
const SPLIT: u32 = 8;

/// Where the parts of a row have their columns, of the input and of the output: the first of the first part, and from part to part.
struct Places {
    parts: usize,
    x: (usize, usize),
    out: (usize, usize),
}

impl Builder<'_> {
    pub(super) fn route(&mut self, x: BufId, bias: Option<WeightId>, routing: &Routing, out: BufId) {
        // one group is none
        let groups = routing.groups.unwrap_or(Groups { count: 1, used: 1, best: 1 });
        let fields = [
            ("n", self.plan().width(x) as u32),
            ("used", routing.used as u32),
            ("x_stride", self.stride(x)),
            ("out_stride", self.stride(out)),
            ("sigmoid", u32::from(routing.gating == Gating::Sigmoid)),
            ("normalized", u32::from(routing.normalized)),
            ("scale", routing.scale.to_bits()),
            ("has_bias", u32::from(bias.is_some())),
            ("groups", groups.count as u32),
            ("open", groups.used as u32),
            ("best", groups.best as u32),
        ];
        let buffers = [("x", self.slice(x)), ("out", self.slice(out)), ("bias", self.optional(bias))];
        self.call("route", &fields, &buffers, self.per_row(1));
    }

    /// Experts by a row's routes.
    pub(super) fn experts(&mut self, linears: &[Linear], x: BufId, routes: BufId, out: BufId) {
        let (parts, cols) = (self.plan().width(routes) / 2, self.plan().weight(linears[0].weight).cols);
        let step = if self.plan().width(x) == cols { 0 } else { cols };
        let places = Places { parts, x: (0, step), out: (0, self.plan().width(out) / parts) };
        self.stack(linears, x, Some(routes), out, places);
    }

    /// All matrices, each for a part of the row.
    pub(super) fn heads(&mut self, weight: WeightId, (x, from): (BufId, &Columns), (out, to): (BufId, &Columns)) {
        let parts = self.plan().weight(weight).experts;
        let places = Places { parts, x: (from.first, from.step), out: (to.first, to.step) };
        self.stack(&[Linear { weight, bias: None }], x, None, out, places);
    }

    /// A dispatch for each part of each matrix, over tiles of one expert's rows by the row's parts, and over rows.
    fn stack(&mut self, linears: &[Linear], x: BufId, routes: Option<BufId>, out: BufId, places: Places) {
        let mut column = places.out.0;
        for linear in linears {
            let weight = self.plan().weight(linear.weight);
            let (cols, n) = (weight.cols, weight.rows / weight.experts);
            for piece in self.weights.placement.pieces[linear.weight.0 as usize].clone() {
                let layout = self.weights.placement.slabs[piece.slab].layout;
                let fields = [
                    ("k", cols as u32),
                    ("units", layout.units(cols) as u32),
                    ("first_row", piece.slab_row as u32),
                    ("first", piece.first as u32),
                    ("count", piece.rows as u32),
                    ("n", n as u32),
                    ("x_stride4", self.stride(x) / 4),
                    ("x_first4", (places.x.0 / 4) as u32),
                    ("x_slot4", (places.x.1 / 4) as u32),
                    ("routes_stride", routes.map_or(0, |routes| self.stride(routes))),
                    ("out_stride", self.stride(out)),
                    ("out_slot", places.out.1 as u32),
                    ("out_column", column as u32),
                    ("has_bias", u32::from(linear.bias.is_some())),
                ];
                let mut buffers: Vec<Binding> = self.planes(piece.slab);
                // fixed routes are not read
                let numbers = routes.map_or(self.optional(None), |routes| self.slice(routes));
                buffers.push(("bias", self.optional(linear.bias)));
                buffers.extend([("x", self.slice(x)), ("routes", numbers), ("out", self.slice(out))]);
                let grid = self.per_row((n.div_ceil(TILE) * places.parts) as u32);
                self.call(&self.of_planes("mat_vec_experts", layout.name), &fields, &buffers, grid);
                self.constants(&[("SPLIT", SPLIT), ("ROUTED", u32::from(routes.is_some()))]);
            }
            column += n;
        }
    }

    pub(super) fn combine(
        &mut self,
        x: BufId,
        (weights, first, by_column, sigmoid): (BufId, usize, bool, bool),
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
            ("by_column", u32::from(by_column)),
            ("sigmoid", u32::from(sigmoid)),
            ("accumulate", accumulate),
        ];
        let buffers = [("x", self.slice(x)), ("weights", self.slice(weights)), ("out", self.slice(out))];
        self.call("combine", &fields, &buffers, self.per_row(n.div_ceil(super::WIDTH)));
    }
}

//! The calls of ops that carry a state from row to row, and of those that go with them.

use super::{Builder, Field, WIDTH};
use crate::device::gpu::pipeline::Slice;
use crate::device::gpu::program::Grid;
use crate::graph::{BufId, Columns, Conv, DeltaRule, Lerp, Scan, Shift, Wkv};

/// Channels of a workgroup of conv.
const CONV_CHANNELS: u32 = 32;
/// States that an invocation keeps in registers: `shaders/wgsl/shared/registers.wgsl`.
const SLICE: usize = 16;
/// Invocations of a workgroup of scan, delta_rule and wkv.
const INVOCATIONS: u32 = 64;
/// Most states of one channel.
pub(in crate::device::gpu) const MAX_STATES: usize = SLICE * INVOCATIONS as usize;

/// Invocations that share a channel's states.
fn lanes(states: usize) -> u32 {
    states.div_ceil(SLICE) as u32
}

/// Workgroups for channels that take so many invocations each.
fn workgroups(channels: usize, lanes: u32) -> Grid {
    Grid::One((channels as u32).div_ceil(INVOCATIONS / lanes))
}

fn run_fields(columns: &Columns) -> [Field; 3] {
    [("first", columns.first as u32), ("len", columns.len as u32), ("step", columns.step as u32)]
}

impl Builder<'_> {
    fn arena(&self) -> Slice {
        Slice::whole(&self.weights.arena)
    }

    fn state(&self, index: usize) -> Slice {
        Slice::whole(&self.buffers.states[index])
    }

    pub(super) fn conv(&mut self, conv: &Conv) {
        let channels = self.plan().width(conv.out) as u32;
        let fields = [
            ("channels", channels),
            ("taps", conv.taps(self.plan()) as u32),
            ("x_stride", self.stride(conv.x)),
            ("out_stride", self.stride(conv.out)),
            ("first", conv.first as u32),
            ("weight", self.arena_word(Some(conv.weight))),
            ("bias", self.arena_word(conv.bias)),
        ];
        let buffers = [
            ("x", self.slice(conv.x)),
            ("arena", self.arena()),
            ("state", self.state(conv.state)),
            ("out", self.slice(conv.out)),
        ];
        self.call("conv", &fields, &buffers, Grid::One(channels.div_ceil(CONV_CHANNELS)));
        let last = [("GATED", u32::from(conv.gated)), ("SILU", u32::from(conv.silu))];
        self.constants(&[last[0], last[1], ("BIAS", u32::from(conv.bias.is_some()))]);
    }

    pub(super) fn scan(&mut self, scan: &Scan) {
        let channels = self.plan().width(scan.out);
        let lanes = lanes(scan.n_state);
        let fields = [
            ("channels", channels as u32),
            ("head_dim", (channels / scan.heads) as u32),
            ("shared_heads", (scan.heads / scan.groups) as u32),
            ("n_state", scan.n_state as u32),
            ("x_stride", self.stride(scan.x)),
            ("bc_stride", self.stride(scan.bc)),
            ("dt_stride", self.stride(scan.dt)),
            ("out_stride", self.stride(scan.out)),
            ("b", scan.b as u32),
            ("c", (scan.b + scan.groups * scan.n_state) as u32),
            ("dt", scan.first_dt as u32),
            ("a", self.arena_word(Some(scan.a))),
            ("d", self.arena_word(Some(scan.d))),
            ("dt_bias", self.arena_word(scan.dt_bias)),
        ];
        let buffers = [
            ("x", self.slice(scan.x)),
            ("bc", self.slice(scan.bc)),
            ("dt", self.slice(scan.dt)),
            ("arena", self.arena()),
            ("state", self.state(scan.state)),
            ("out", self.slice(scan.out)),
        ];
        let rates = self.plan().weight(scan.a).cols != scan.heads;
        self.call("scan", &fields, &buffers, workgroups(channels, lanes));
        let bias = ("BIAS", u32::from(scan.dt_bias.is_some()));
        self.constants(&[("LANES", lanes), ("RATES", u32::from(rates)), bias]);
    }

    pub(super) fn delta_rule(&mut self, rule: &DeltaRule) {
        let channels = self.plan().width(rule.out);
        let lanes = lanes(rule.key_dim);
        let fields = [
            ("channels", channels as u32),
            ("value_dim", (channels / rule.heads) as u32),
            ("heads", rule.heads as u32),
            ("key_heads", rule.key_heads as u32),
            ("key_dim", rule.key_dim as u32),
            ("qkv_stride", self.stride(rule.qkv)),
            ("gates_stride", self.stride(rule.gates)),
            ("out_stride", self.stride(rule.out)),
            ("first", rule.first as u32),
            ("tiled", u32::from(rule.tiled)),
            ("a", self.arena_word(Some(rule.a))),
            ("dt_bias", self.arena_word(Some(rule.dt_bias))),
            ("eps", self.plan().eps.to_bits()),
        ];
        let buffers = [
            ("qkv", self.slice(rule.qkv)),
            ("gates", self.slice(rule.gates)),
            ("arena", self.arena()),
            ("state", self.state(rule.state)),
            ("out", self.slice(rule.out)),
        ];
        self.call("delta_rule", &fields, &buffers, workgroups(channels, lanes));
        self.constants(&[("LANES", lanes)]);
    }

    pub(super) fn wkv(&mut self, wkv: &Wkv) {
        let channels = self.plan().width(wkv.v);
        let dim = channels / wkv.heads;
        let lanes = lanes(dim);
        let [k_k, k_a] = wkv.delta.map_or([None, None], |delta| delta.map(Some));
        let fields = [
            ("channels", channels as u32),
            ("dim", dim as u32),
            ("r_stride", self.stride(wkv.r)),
            ("gates_stride", self.stride(wkv.gates)),
            ("k_stride", self.stride(wkv.k)),
            ("v_stride", self.stride(wkv.v)),
            ("out_stride", self.stride(wkv.out)),
            ("bonus", self.arena_word(Some(wkv.bonus))),
            ("k_k", self.arena_word(k_k)),
            ("k_a", self.arena_word(k_a)),
        ];
        let buffers = [
            ("r", self.slice(wkv.r)),
            ("gates", self.slice(wkv.gates)),
            ("k", self.slice(wkv.k)),
            ("v", self.slice(wkv.v)),
            ("arena", self.arena()),
            ("state", self.state(wkv.state)),
            ("out", self.slice(wkv.out)),
        ];
        self.call("wkv", &fields, &buffers, workgroups(channels, lanes));
        self.constants(&[("LANES", lanes), ("DELTA", u32::from(wkv.delta.is_some()))]);
    }

    pub(super) fn shift(&mut self, shift: &Shift) {
        let n = self.plan().width(shift.x) as u32;
        let fields = [("n", n), ("x_stride", self.stride(shift.x)), ("out_stride", self.stride(shift.out))];
        let buffers = [("x", self.slice(shift.x)), ("state", self.state(shift.state)), ("out", self.slice(shift.out))];
        self.call("shift", &fields, &buffers, Grid::One(n.div_ceil(WIDTH)));
    }

    pub(super) fn lerp(&mut self, lerp: &Lerp) {
        let n = self.plan().width(lerp.out) as u32;
        // where there is no buffer of factors, what stands in its place is not read
        let (by, column) = lerp.by.unwrap_or((lerp.x, 0));
        let weight = lerp.weight.map_or(0, |(id, first)| self.arena_word(Some(id)) + first as u32);
        let fields = [
            ("n", n),
            ("x_stride", self.stride(lerp.x)),
            ("to_stride", self.stride(lerp.to)),
            ("by_stride", self.stride(by)),
            ("out_stride", self.stride(lerp.out)),
            ("weight", weight),
            ("column", column as u32),
        ];
        let buffers = [
            ("x", self.slice(lerp.x)),
            ("to", self.slice(lerp.to)),
            ("by", self.slice(by)),
            ("arena", self.arena()),
            ("out", self.slice(lerp.out)),
        ];
        self.call("lerp", &fields, &buffers, self.per_row(n.div_ceil(WIDTH)));
        let given = [("WEIGHT", u32::from(lerp.weight.is_some())), ("BY", u32::from(lerp.by.is_some()))];
        self.constants(&given);
    }

    pub(super) fn gate(&mut self, x: BufId, gate: BufId, columns: &Columns, sigmoid: bool) {
        let n = self.plan().width(x) as u32;
        let strides = [("stride", self.stride(x)), ("gates_stride", self.stride(gate))];
        let own = [("n", n), ("sigmoid", u32::from(sigmoid))];
        let fields = [own.as_slice(), &strides, &run_fields(columns)].concat();
        let buffers = [("gates", self.slice(gate)), ("x", self.slice(x))];
        self.call("gate", &fields, &buffers, self.per_row(n.div_ceil(WIDTH)));
    }
}

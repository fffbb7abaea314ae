//! Lowers a plan's ops to kernel calls: which shader, which constants and fields, over which buffers and how many workgroups.

mod attention;
mod experts;
pub(super) mod pick;
mod recurrent;

pub(super) use recurrent::MAX_STATES;

use super::Tuning;
use super::fuse::{self, Step};
use super::loader::GpuWeights;
use super::pipeline::{Constants, Slice};
use super::planes::TILE;
use super::products::Form;
use super::program::{Grid, stride};
use super::state::Buffers;
use crate::graph::{Activation, BufId, Cap, Columns, Lookup, NormKind, NormPart, Op, Plan, Section, WeightId};

/// Invocations per workgroup of the elementwise kernels.
pub(super) const WIDTH: u32 = 64;
/// Columns that an invocation of embed makes.
const EMBED_COLUMNS: u32 = 8;

/// A launch before its pipeline, uniform and bind group exist.
pub(super) struct Call {
    pub(super) shader: String,
    pub(super) constants: Constants,
    pub(super) fields: Vec<Field>,
    pub(super) buffers: Vec<Binding>,
    pub(super) grid: Grid,
}

/// A field of the shader's uniform struct, or an override constant.
pub(super) type Field = (&'static str, u32);
/// A binding of the shader, by name.
pub(super) type Binding = (&'static str, Slice);

/// The calls of a section of a plan in a form.
pub(super) fn calls(weights: &GpuWeights, buffers: &Buffers, section: Section, form: Form) -> Vec<Call> {
    let head = section == Section::Head;
    let mut builder = Builder { weights, buffers, head, form, calls: Vec::new() };
    if head {
        builder.gather();
    }
    let rules = fuse::Rules { single: form == Form::One, norm: weights.products.one.fuses_norms() };
    for step in fuse::steps(&weights.plan, &weights.placement, section, rules) {
        builder.step(&step);
    }
    builder.calls
}

pub(super) struct Builder<'a> {
    pub(super) weights: &'a GpuWeights,
    pub(super) buffers: &'a Buffers,
    /// Whether the ops run for the rows whose logits are wanted.
    pub(super) head: bool,
    /// How products are made.
    pub(super) form: Form,
    calls: Vec<Call>,
}

impl Builder<'_> {
    pub(super) fn plan(&self) -> &Plan {
        &self.weights.plan
    }

    fn tuning(&self) -> Tuning {
        self.weights.gpu.tuning
    }

    pub(super) fn call(&mut self, shader: &str, fields: &[Field], buffers: &[Binding], grid: Grid) {
        let mut buffers = buffers.to_vec();
        buffers.push(("run", Slice::whole(&self.buffers.run)));
        let call = Call { shader: shader.into(), constants: Vec::new(), fields: fields.to_vec(), buffers, grid };
        self.calls.push(call);
    }

    /// `x` workgroups for every row.
    pub(super) fn per_row(&self, x: u32) -> Grid {
        Grid::Rows { x, each: 1 }
    }

    /// Sets the override constants of the last call.
    pub(super) fn constants(&mut self, constants: &[Field]) {
        if let Some(call) = self.calls.last_mut() {
            call.constants = constants.to_vec();
        }
    }

    /// The memory of a buffer; in the head, `hidden` means the gathered rows.
    pub(super) fn slice(&self, id: BufId) -> Slice {
        Slice::whole(self.buffers.of(self.plan(), id, self.head))
    }

    pub(super) fn stride(&self, id: BufId) -> u32 {
        stride(self.plan().width(id)) as u32
    }

    pub(super) fn vector(&self, id: WeightId) -> Slice {
        let bytes = Some(4 * self.plan().weight(id).cols as u64);
        Slice::part(&self.weights.arena, self.weights.placement.vectors[&id], bytes)
    }

    /// A vector, or what stands for one that is missing and never read: all of them.
    pub(super) fn optional(&self, id: Option<WeightId>) -> Slice {
        id.map_or(Slice::whole(&self.weights.arena), |id| self.vector(id))
    }

    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Product(product) => self.product(product),
            Step::Attend { qkv, layer, out } => self.attend(*qkv, *layer, *out),
            Step::Op(op) => self.op(op),
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Embed { table, by, scale, add, out } => self.embed(*table, *by, *scale, *add, *out),
            Op::Norm { kind, x, weight, bias, add, out } => self.norm(*kind, *x, (*weight, *bias), *add, *out),
            Op::NormPart(norm) => self.norm_part(norm),
            Op::RopeStore { qkv, layer } => self.rope_store(*qkv, *layer),
            Op::Store { kv, layer } => self.store(*kv, *layer),
            Op::Attention { qkv, layer, out } => self.attention(*qkv, *layer, *out),
            Op::Activate { parts, x, activation, gated, out } => self.activate(*parts, *x, *activation, *gated, *out),
            Op::Route { x, bias, routing, out } => self.route(*x, *bias, routing, *out),
            Op::Experts { linears, x, routes, out } => self.experts(linears, *x, *routes, *out),
            Op::Heads { weight, x, from, out, to } => self.heads(*weight, (*x, from), (*out, to)),
            Op::Take { x, from, n, out, to } => self.take((*x, from), *n, (*out, to)),
            Op::Combine { x, weights, first, by_column, sigmoid, add, out } => {
                self.combine(*x, (*weights, *first, *by_column, *sigmoid), *add, *out);
            }
            Op::Conv(conv) => self.conv(conv),
            Op::Scan(scan) => self.scan(scan),
            Op::DeltaRule(rule) => self.delta_rule(rule),
            Op::Shift(shift) => self.shift(shift),
            Op::Lerp(lerp) => self.lerp(lerp),
            Op::Wkv(wkv) => self.wkv(wkv),
            Op::Gate { x, gate, columns, sigmoid } => self.gate(*x, *gate, columns, *sigmoid),
            Op::Scale { x, factor, by, cap } => self.scale(*x, *factor, *by, *cap),
            Op::MatMul { .. } => unreachable!("every product is a step of its own"),
        }
    }

    /// Copies the rows of `hidden` whose logits are wanted to the head's own buffer.
    fn gather(&mut self) {
        let hidden = self.plan().hidden;
        let source = Slice::whole(self.buffers.of(self.plan(), hidden, false));
        self.copy_rows((source, self.stride(hidden)), hidden, true);
    }

    /// Kernels add to what `out` holds; another summand is copied there first. Returns the kernels' `accumulate`.
    pub(super) fn accumulate(&mut self, add: Option<BufId>, out: BufId) -> u32 {
        if let Some(add) = add.filter(|&add| add != out) {
            self.copy_rows((self.slice(add), self.stride(add)), out, false);
        }
        u32::from(add.is_some())
    }

    /// Copies rows of `x`, a memory and its stride, to `out`: all of them, or the `wanted` ones.
    fn copy_rows(&mut self, (x, x_stride): (Slice, u32), out: BufId, wanted: bool) {
        let n = self.plan().width(out) as u32;
        let fields = [
            ("n", n),
            ("x_stride", x_stride),
            ("out_stride", self.stride(out)),
            ("head", u32::from(wanted)),
            ("texts", u32::from(self.plan().texts)),
        ];
        let buffers = [("x", x), ("out", self.slice(out))];
        self.call("copy_rows", &fields, &buffers, self.per_row(n.div_ceil(WIDTH)));
    }

    fn embed(&mut self, table: WeightId, by: Lookup, scale: f32, add: bool, out: BufId) {
        let weight = self.plan().weight(table);
        let (cols, out_stride) = (weight.cols as u32, self.stride(out));
        for piece in self.weights.placement.pieces[table.0 as usize].clone() {
            let layout = self.weights.placement.slabs[piece.slab].layout;
            let fields = [
                ("k", cols),
                ("units", layout.units(cols as usize) as u32),
                ("first", piece.first as u32),
                ("count", piece.rows as u32),
                ("first_tile", (piece.slab_row / TILE) as u32),
                ("out_stride", out_stride),
                ("scale", scale.to_bits()),
                ("by", by as u32),
                ("texts", u32::from(self.plan().texts)),
                ("accumulate", u32::from(add)),
            ];
            let mut buffers = self.planes(piece.slab);
            buffers.push(("out", self.slice(out)));
            let x = cols.div_ceil(EMBED_COLUMNS).div_ceil(WIDTH);
            self.call(&self.of_planes("embed", layout.name), &fields, &buffers, self.per_row(x));
        }
    }

    /// The planes of a slab; a type without a second plane has no binding for it.
    pub(super) fn planes(&self, slab: usize) -> Vec<(&'static str, Slice)> {
        let planes = &self.weights.planes[slab];
        let scales = planes.scales.as_ref().map(|scales| ("scales", scales.slice()));
        [("quants", planes.quants.slice())].into_iter().chain(scales).collect()
    }

    /// The shader of a kernel without levels for a type of weights.
    pub(super) fn of_planes(&self, kernel: &str, ty: &str) -> String {
        let planes = if self.weights.products.textures() { "texture" } else { "buffer" };
        format!("{kernel}.{ty}.{planes}")
    }

    fn norm(
        &mut self,
        kind: NormKind,
        x: BufId,
        (weight, bias): (WeightId, Option<WeightId>),
        add: Option<BufId>,
        out: BufId,
    ) {
        let accumulate = self.accumulate(add, out);
        let fields = [
            ("n", self.plan().width(x) as u32),
            ("x_stride", self.stride(x)),
            ("out_stride", self.stride(out)),
            ("accumulate", accumulate),
            ("eps", self.plan().eps.to_bits()),
        ];
        let has_bias = u32::from(bias.is_some());
        let weights = [("weight", self.vector(weight)), ("bias", self.optional(bias))];
        let buffers = [weights, [("x", self.slice(x)), ("out", self.slice(out))]].concat();
        self.call("norm", &fields, &buffers, self.per_row(1));
        let centered = u32::from(kind == NormKind::Layer);
        self.constants(&[("WIDTH", self.tuning().norm_width), ("CENTERED", centered), ("BIAS", has_bias)]);
    }

    fn norm_part(&mut self, norm: &NormPart) {
        let step = |id: Option<WeightId>| {
            let same = id.is_none_or(|id| self.plan().weight(id).cols == norm.len);
            if same { 0 } else { norm.len as u32 }
        };
        let fields = [
            ("n", norm.len as u32),
            ("first", norm.first as u32),
            ("stride", self.stride(norm.x)),
            ("step", step(norm.weight)),
            ("bias_step", step(norm.bias)),
            ("eps", norm.eps.to_bits()),
        ];
        let weights = [("weight", self.optional(norm.weight)), ("bias", self.optional(norm.bias))];
        let buffers = [[("x", self.slice(norm.x))].as_slice(), &weights].concat();
        self.call("norm_part", &fields, &buffers, self.per_row(norm.parts as u32));
        let (weighted, has_bias) = (norm.weight.is_some(), norm.bias.is_some());
        let centered = ("CENTERED", u32::from(norm.kind == NormKind::Layer));
        let given = [("WEIGHTED", u32::from(weighted)), ("BIAS", u32::from(has_bias))];
        self.constants(&[("WIDTH", self.tuning().norm_width), centered, given[0], given[1]]);
    }

    fn activate(&mut self, parts: usize, x: BufId, activation: Activation, gated: bool, out: BufId) {
        let n = self.plan().width(out) as u32;
        let strides = [("x_stride", self.stride(x)), ("out_stride", self.stride(out))];
        let own = [("n", n / parts as u32), ("parts", parts as u32), ("activation", code(activation))];
        let fields = [own.as_slice(), &strides, &[("gated", u32::from(gated))]].concat();
        let buffers = [("x", self.slice(x)), ("out", self.slice(out))];
        self.call("activate", &fields, &buffers, self.per_row(n.div_ceil(WIDTH)));
    }

    fn take(&mut self, (x, from): (BufId, &Columns), n: usize, (out, to): (BufId, &Columns)) {
        let fields = [
            ("n", n as u32),
            ("x_stride", self.stride(x)),
            ("out_stride", self.stride(out)),
            ("from_first", from.first as u32),
            ("from_len", from.len as u32),
            ("from_step", from.step as u32),
            ("to_first", to.first as u32),
            ("to_len", to.len as u32),
            ("to_step", to.step as u32),
        ];
        let buffers = [("x", self.slice(x)), ("out", self.slice(out))];
        self.call("take", &fields, &buffers, self.per_row((n as u32).div_ceil(WIDTH)));
    }

    fn scale(&mut self, x: BufId, factor: f32, by: Option<WeightId>, cap: Option<Cap>) {
        let n = self.plan().width(x) as u32;
        let (kind, cap) = match cap {
            None => (0, 0.0),
            Some(Cap::Soft(cap)) => (1, cap),
            Some(Cap::Hard(cap)) => (2, cap),
        };
        let fields = [("n", n), ("stride", self.stride(x)), ("factor", factor.to_bits()), ("cap", cap.to_bits())];
        let buffers = [("x", self.slice(x)), ("by", self.optional(by))];
        self.call("scale", &fields, &buffers, self.per_row(n.div_ceil(WIDTH)));
        self.constants(&[("BY", u32::from(by.is_some())), ("CAP", kind)]);
    }
}

/// As `shaders/wgsl/shared/activation.wgsl` numbers them.
pub(super) fn code(activation: Activation) -> u32 {
    match activation {
        Activation::Silu => 0,
        Activation::GeluTanh => 1,
        Activation::GeluErf => 2,
        Activation::Relu => 3,
        Activation::SwigluOai => 4,
        Activation::Tanh => 5,
        Activation::ReluSquared => 6,
        Activation::Sigmoid => 7,
    }
}

//! Lowers what makes rows learn of those before them: attention, and the recurrent layers that stand in its place.

use super::Lowering;
use crate::arch::{
    AttentionSpec, ConvSpec, DeltaNetSpec, LinearSpec, Mask, Mixer, Norms, Qkv, ScanSpec, ShortConvSpec, StepSpec,
};
use crate::error::{Error, Result};
use crate::graph::{BufId, Cap, Columns, Conv, DeltaRule, NormKind, NormPart, Op, Scan};

/// The projections of attention across: these are always three matrices.
pub(super) fn direct(a: &AttentionSpec) -> Result<&[LinearSpec]> {
    match &a.qkv {
        Qkv::Direct(linears) if linears.len() == 3 => Ok(linears),
        _ => Err(Error::Internal("attention across without three matrices".into())),
    }
}

impl Lowering<'_, '_> {
    /// What the layer's output projection reads.
    pub(super) fn mix(&mut self, mixer: &Mixer, x: BufId) -> Result<BufId> {
        match mixer {
            Mixer::Attention(attention) => self.attention(attention, x),
            Mixer::ShortConv(conv) => self.short_conv(conv, x),
            Mixer::Scan(scan) => self.scan(scan, x),
            Mixer::DeltaNet(net) => self.delta_net(net, x),
            Mixer::TimeMix(mix) => self.time_mix(mix, x),
        }
    }

    /// The number of a layer's attention. What sees its whole text needs its cache for one batch only: layers alike are one.
    pub(super) fn attention_layer(&mut self, a: &AttentionSpec) -> Result<usize> {
        let plan = self.attention_plan(a)?;
        let same = self.layers.iter().position(|layer| layer.mask == Mask::Full && *layer == plan);
        Ok(same.unwrap_or_else(|| {
            self.layers.push(plan);
            self.layers.len() - 1
        }))
    }

    /// hidden += o(attention of hidden to the encoder's states)
    pub(super) fn cross(&mut self, norms: &Norms, a: &AttentionSpec, layer: usize, hidden: BufId) -> Result<BufId> {
        let x = self.norm(hidden, norms.input.as_ref())?;
        let q = self.matmul(&direct(a)?[..1], x)?;
        let out = self.buffer(a.heads * a.head_dim);
        self.ops.push(Op::Attention { qkv: q, layer, out });
        self.residual(&a.o, norms, out, hidden)
    }

    fn attention(&mut self, a: &AttentionSpec, x: BufId) -> Result<BufId> {
        let (q_width, kv_width) = (a.heads * a.head_dim, 2 * a.kv_heads * a.head_dim);
        // behind each query head stands its gate
        let queries = Columns { first: 0, len: a.head_dim, step: 2 * a.head_dim };
        let (qkv, gates) = match &a.qkv {
            Qkv::Direct(linears) => (self.matmul(linears, x)?, None),
            Qkv::Gated(linears) => {
                let (projected, qkv) = (self.matmul(linears, x)?, self.buffer(q_width + kv_width));
                self.take(projected, queries, q_width, qkv, Columns::run(0, q_width));
                let kv = |first| Columns::run(first, kv_width);
                self.take(projected, kv(2 * q_width), kv_width, qkv, kv(q_width));
                (qkv, Some(projected))
            }
            Qkv::Latent(latent) => (self.latent_qk(a, latent, x)?, None),
        };
        if let Some(limit) = a.clamp {
            self.ops.push(Op::Scale { x: qkv, factor: 1.0, by: None, cap: Some(Cap::Hard(limit)) });
        }
        if let Some(norm) = a.qk_norm.as_ref().filter(|norm| norm.whole) {
            self.norm_part(qkv, (0, q_width, 1), Some(&norm.q))?;
            if norm.k.is_some() {
                self.norm_part(qkv, (q_width, kv_width / 2, 1), norm.k.as_ref())?;
            }
        }
        if a.value_norm && a.kv_from.is_none() {
            self.norm_part(qkv, (q_width + kv_width / 2, a.head_dim, a.kv_heads), None)?;
        }
        let layer = self.attention_layer(a)?;
        self.ops.push(Op::RopeStore { qkv, layer });
        let out = self.buffer(q_width);
        self.ops.push(Op::Attention { qkv, layer, out });
        if let Some(gate) = gates {
            let columns = Columns { first: a.head_dim, ..queries };
            self.ops.push(Op::Gate { x: out, gate, columns, sigmoid: true });
        }
        match &a.qkv {
            Qkv::Direct(_) | Qkv::Gated(_) => Ok(out),
            Qkv::Latent(latent) => self.latent_out(a, latent, out),
        }
    }

    pub(super) fn take(&mut self, x: BufId, from: Columns, n: usize, out: BufId, to: Columns) {
        self.ops.push(Op::Take { x, from, n, out, to });
    }

    /// `[a | b]`, which are as wide as each other.
    pub(super) fn beside(&mut self, a: BufId, b: BufId) -> BufId {
        let width = self.buffers[a.0 as usize].width;
        let both = self.buffer(2 * width);
        self.take(a, Columns::run(0, width), width, both, Columns::run(0, width));
        self.take(b, Columns::run(0, width), width, both, Columns::run(width, width));
        both
    }

    /// RMS-norms parts of x: `(first, len, parts)`.
    pub(super) fn norm_part(
        &mut self,
        x: BufId,
        (first, len, parts): (usize, usize, usize),
        weight: Option<&String>,
    ) -> Result<()> {
        let weight = self.weights.optional(weight)?;
        let (kind, eps) = (NormKind::Rms, self.spec.eps);
        self.ops.push(Op::NormPart(NormPart { x, kind, first, len, parts, weight, bias: None, eps }));
        Ok(())
    }

    /// x = x * silu(gate) for all of x.
    pub(super) fn gate(&mut self, x: BufId, gate: BufId, first: usize, width: usize) {
        self.ops.push(Op::Gate { x, gate, columns: Columns::run(first, width), sigmoid: false });
    }

    /// A number for a state of so many elements.
    pub(super) fn state(&mut self, elements: usize) -> usize {
        self.states.push(elements);
        self.states.len() - 1
    }

    /// The convolution of columns of x from `first` on.
    fn conv(&mut self, spec: &ConvSpec, x: BufId, first: usize, gated: bool) -> Result<BufId> {
        let (weight, bias) = (self.weights.vector(&spec.weight)?, self.weights.optional(spec.bias.as_ref())?);
        let state = self.state((spec.taps - 1) * spec.channels);
        let out = self.buffer(spec.channels);
        self.ops.push(Op::Conv(Conv { x, first, gated, weight, bias, silu: !gated, state, out }));
        Ok(out)
    }

    fn short_conv(&mut self, spec: &ShortConvSpec, x: BufId) -> Result<BufId> {
        let projected = self.matmul(std::slice::from_ref(&spec.input), x)?;
        self.conv(&spec.conv, projected, 0, true)
    }

    fn scan(&mut self, spec: &ScanSpec, input: BufId) -> Result<BufId> {
        let ScanSpec { heads, inner, groups, n_state, .. } = *spec;
        let projected = self.matmul(std::slice::from_ref(&spec.input), input)?;
        let (first, z) = match &spec.steps {
            StepSpec::Projected { .. } => (0, inner),
            StepSpec::Direct { .. } => (inner, 0),
        };
        let x = self.conv(&spec.conv, projected, first, false)?;
        let (bc, b, dt, first_dt, dt_bias) = match &spec.steps {
            StepSpec::Projected { x: projection, dt } => {
                let rbc = self.matmul(std::slice::from_ref(projection), x)?;
                let rank = self.buffer(dt.inputs);
                self.take(rbc, Columns::run(0, dt.inputs), dt.inputs, rank, Columns::run(0, dt.inputs));
                let steps = self.matmul(std::slice::from_ref(dt), rank)?;
                (rbc, dt.inputs, steps, 0, None)
            }
            StepSpec::Direct { bias } => (x, inner, projected, inner + spec.conv.channels, Some(bias)),
        };
        let dt_bias = self.weights.optional(dt_bias)?;
        let (a, d) = (self.weights.vector(&spec.a)?, self.weights.vector(&spec.d)?);
        let (state, out) = (self.state(inner.saturating_mul(n_state)), self.buffer(inner));
        self.ops.push(Op::Scan(Scan { x, bc, b, dt, first_dt, dt_bias, a, d, heads, groups, n_state, state, out }));
        self.gate(out, projected, z, inner);
        if let Some(norm) = &spec.norm {
            self.norm_part(out, (0, inner / groups, groups), Some(norm))?;
        }
        Ok(out)
    }

    fn delta_net(&mut self, spec: &DeltaNetSpec, x: BufId) -> Result<BufId> {
        let DeltaNetSpec { heads, key_heads, key_dim, value_dim, tiled, .. } = *spec;
        let projected = self.matmul(&spec.input, x)?;
        let qkv = self.conv(&spec.conv, projected, 0, false)?;
        let (z, width) = (spec.conv.channels, heads * value_dim);
        let (a, dt_bias) = (self.weights.vector(&spec.a)?, self.weights.vector(&spec.dt_bias)?);
        let (state, out) = (self.state(width.saturating_mul(key_dim)), self.buffer(width));
        let (gates, first) = (projected, z + width);
        self.ops.push(Op::DeltaRule(DeltaRule {
            qkv,
            gates,
            first,
            a,
            dt_bias,
            heads,
            key_heads,
            key_dim,
            tiled,
            state,
            out,
        }));
        self.norm_part(out, (0, value_dim, heads), Some(&spec.norm))?;
        self.gate(out, projected, z, width);
        Ok(out)
    }
}

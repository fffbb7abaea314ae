//! Every op in f64, as plainly as its formula. A matrix is its elements row by row.

use gabion::graph::{DeltaRule, Gating, Routing, Scan, Wkv};

use super::case::{Act, Kind, Layer, Style};

/// Root of the mean square.
pub(super) fn rms(x: &[f64]) -> f64 {
    (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt()
}

/// A norm without weights.
pub(super) fn standardized(x: &[f64], kind: Kind, eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = if kind == Kind::Layer { x.iter().sum::<f64>() / n } else { 0.0 };
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    x.iter().map(|x| (x - mean) / (variance + eps).sqrt()).collect()
}

pub(super) fn rms_norm(x: &[f64], weight: &[f64], eps: f64) -> Vec<f64> {
    standardized(x, Kind::Rms, eps).iter().zip(weight).map(|(x, w)| x * w).collect()
}

pub(super) fn mat_vec(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

pub(super) fn activate(x: &[f64], act: Act, gated: bool) -> Vec<f64> {
    if gated { glu(x, act) } else { x.iter().map(|&x| activation(act, x)).collect() }
}

pub(super) fn glu(x: &[f64], act: Act) -> Vec<f64> {
    let (gate, up) = x.split_at(x.len() / 2);
    gate.iter().zip(up).map(|(&g, u)| activation(act, g) * u).collect()
}

fn activation(act: Act, x: f64) -> f64 {
    match act {
        Act::Silu => x / (1.0 + (-x).exp()),
        Act::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Act::GeluErf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        Act::Relu => x.max(0.0),
        Act::ReluSquared => x.max(0.0).powi(2),
        Act::Sigmoid => sigmoid(x),
        Act::Tanh => x.tanh(),
    }
}

/// The integral of 2/√π e^-t² from 0 to x, by Simpson's rule.
fn erf(x: f64) -> f64 {
    const STEPS: usize = 2000;
    let h = x / STEPS as f64;
    let term = |i: usize| {
        let factor = if i == 0 || i == STEPS { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
        factor * (-(i as f64 * h).powi(2)).exp()
    };
    std::f64::consts::FRAC_2_SQRT_PI * h / 3.0 * (0..=STEPS).map(term).sum::<f64>()
}

/// The experts that a row goes to, with their probabilities.
pub(super) fn route(scores: &[f64], bias: Option<&[f64]>, routing: &Routing) -> Vec<(usize, f64)> {
    let exps: f64 = scores.iter().map(|s| s.exp()).sum();
    let probability = |s: f64| match routing.gating {
        Gating::Softmax => s.exp() / exps,
        Gating::Sigmoid => 1.0 / (1.0 + (-s).exp()),
    };
    let merit = |e: usize| bias.map_or(scores[e], |bias| probability(scores[e]) + bias[e]);
    let best_first = |all: &mut Vec<usize>| all.sort_by(|&a, &b| merit(b).total_cmp(&merit(a)));
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if let Some(groups) = routing.groups {
        let mut all: Vec<_> = order.chunks(scores.len() / groups.count).map(<[usize]>::to_vec).collect();
        all.iter_mut().for_each(best_first);
        let sum = |group: &Vec<usize>| group[..groups.best].iter().map(|&e| merit(e)).sum::<f64>();
        all.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
        order = all[..groups.used].concat();
    }
    best_first(&mut order);
    let chosen: Vec<_> = order.into_iter().take(routing.used).map(|e| (e, probability(scores[e]))).collect();
    let sum = if routing.normalized { chosen.iter().map(|(_, p)| p).sum() } else { 1.0 };
    chosen.into_iter().map(|(e, p)| (e, p / sum * f64::from(routing.scale))).collect()
}

pub(super) fn scale(x: &[f64], factor: f64, cap: f64, hard: bool) -> Vec<f64> {
    let capped = |x: f64| if hard { x.clamp(-cap, cap) } else { capped(x, cap) };
    x.iter().map(|x| capped(x * factor)).collect()
}

/// A cap of 0 is none.
fn capped(x: f64, cap: f64) -> f64 {
    if cap == 0.0 { x } else { cap * (x / cap).tanh() }
}

/// What each position of distance costs a head (ALiBi, as its authors define it for any number of heads).
fn slope(layer: &Layer, head: usize) -> f64 {
    let power_of_two = |n: usize| (1..=n).map(move |i| (-f64::from(layer.alibi) * i as f64 / n as f64).exp2());
    let n = layer.heads.next_power_of_two();
    let n = if n == layer.heads { n } else { n / 2 };
    let more = power_of_two(2 * n).step_by(2);
    power_of_two(n).chain(more).nth(head).unwrap_or(0.0)
}

/// What rope needs beside the case.
pub(super) struct Rope {
    pub(super) inv_freq: Vec<f32>,
    pub(super) factors: Option<Vec<f64>>,
    pub(super) sinks: Option<Vec<f64>>,
    pub(super) relative: Option<Vec<f64>>,
    pub(super) q_norm: Option<Vec<f64>>,
    pub(super) k_norm: Option<Vec<f64>>,
    pub(super) eps: f64,
}

/// Norms and rotates the q and k heads of one row of projections.
pub(super) fn turn(layer: &Layer, rope: &Rope, pos: usize, row: &mut [f64]) {
    for (i, head) in row.chunks_exact_mut(layer.head_dim).take(layer.heads + layer.kv_heads).enumerate() {
        let norm = if i < layer.heads { &rope.q_norm } else { &rope.k_norm };
        if let Some(weight) = norm {
            head.copy_from_slice(&rms_norm(head, weight, rope.eps));
        }
        rotate(layer, rope, pos, head);
    }
}

fn rotate(layer: &Layer, rope: &Rope, pos: usize, head: &mut [f64]) {
    let pairs = rope.inv_freq.len();
    for j in 0..pairs {
        let (a, b) = match layer.style {
            Style::Norm => (2 * j, 2 * j + 1),
            Style::Neox => (j, j + pairs),
        };
        let angle = pos as f64 * f64::from(rope.inv_freq[j]) / rope.factors.as_ref().map_or(1.0, |f| f[j]);
        let (sin, cos) = angle.sin_cos();
        let m = f64::from(layer.magnitude);
        (head[a], head[b]) = ((head[a] * cos - head[b] * sin) * m, (head[a] * sin + head[b] * cos) * m);
    }
}

/// T5's bucket of a key: the first half of the buckets are distances, the others reach from there to 128 by a constant factor.
fn bucket(layer: &Layer, query: usize, key: usize) -> usize {
    let n = if layer.both_ways { layer.relative / 2 } else { layer.relative };
    let (exact, distance) = (n / 2, query.abs_diff(key));
    // the first distance of a bucket is the edge below it
    let edge = |i: usize| exact as f64 * (128.0 / exact as f64).powf(i as f64 / (n - exact) as f64) - 1e-9;
    let far = (0..n - exact).rev().find(|&i| distance as f64 >= edge(i)).map(|i| exact + i);
    let own = if distance < exact { distance } else { far.unwrap_or(n - 1) };
    if layer.both_ways && key > query { own + n } else { own }
}

/// Attention of one of `rows` (turned projections from position 0 on) over those that it sees.
pub(super) fn attention(layer: &Layer, scale: f64, vectors: &Rope, rows: &[Vec<f64>], own: usize) -> Vec<f64> {
    let dim = layer.head_dim;
    let sees = |k: usize| match (layer.both_ways, layer.window) {
        (true, 0) => true,
        (true, window) => own.abs_diff(k) <= window / 2,
        (false, window) => k <= own && (window == 0 || own - k < window),
    };
    let first = (0..rows.len()).find(|&k| sees(k)).unwrap_or(0);
    let seen: Vec<&Vec<f64>> = (0..rows.len()).filter(|&k| sees(k)).map(|k| &rows[k]).collect();
    let last = &rows[own];
    let mut out = Vec::new();
    for head in 0..layer.heads {
        let kv_head = head / (layer.heads / layer.kv_heads);
        let key = (layer.heads + kv_head) * dim;
        let value = if layer.keys_only { key } else { (layer.heads + layer.kv_heads + kv_head) * dim };
        let q = &last[head * dim..][..dim];
        let dot = |row: &&Vec<f64>| scale * q.iter().zip(&row[key..]).map(|(q, k)| q * k).sum::<f64>();
        let slope = if layer.alibi == 0.0 { 0.0 } else { slope(layer, head) };
        let score = |(i, row): (usize, &&Vec<f64>)| {
            let biases = vectors.relative.as_ref();
            let bias = biases.map_or(0.0, |biases| biases[bucket(layer, own, first + i) * layer.heads + head]);
            capped(dot(row), f64::from(layer.softcap)) - slope * (first + i).abs_diff(own) as f64 + bias
        };
        let scores: Vec<f64> = seen.iter().enumerate().map(score).collect();
        let sink = vectors.sinks.as_ref().map(|sinks| sinks[head]);
        let max = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let sum: f64 = weights.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - max).exp());
        out.extend((0..dim).map(|i| seen.iter().zip(&weights).map(|(row, w)| w / sum * row[value + i]).sum::<f64>()));
    }
    out
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    (1.0 + x.exp()).ln()
}

pub(super) fn gate(x: f64, gate: f64, plain: bool) -> f64 {
    x * sigmoid(gate) * if plain { 1.0 } else { gate }
}

/// Convolution of all rows from the first on; weights [channels][taps].
pub(super) fn conv(rows: &[&[f64]], weight: &[f64], bias: &[f64], gated: bool, silu: bool) -> Vec<Vec<f64>> {
    let (channels, taps) = (bias.len(), weight.len() / bias.len());
    let input = |t: usize, c: usize| if gated { rows[t][c] * rows[t][2 * channels + c] } else { rows[t][c] };
    let output = |t: usize, c: usize| {
        let term = |back: usize| weight[c * taps + taps - 1 - back] * input(t - back, c);
        let sum = bias[c] + (0..taps.min(t + 1)).map(term).sum::<f64>();
        let sum = if silu { sum * sigmoid(sum) } else { sum };
        if gated { sum * rows[t][channels + c] } else { sum }
    };
    (0..rows.len()).map(|t| (0..channels).map(|c| output(t, c)).collect()).collect()
}

/// Selective scan; rows of x, of [b | c], and of steps.
pub(super) fn scan(op: &Scan, rows: &[[&[f64]; 3]], a: &[f64], d: &[f64], dt_bias: &[f64]) -> Vec<Vec<f64>> {
    let (inner, n) = (rows[0][0].len(), op.n_state);
    let mut state = vec![0.0; inner * n];
    let mut answer = |[x, bc, dt]: &[&[f64]; 3], i: usize| {
        let head = i / (inner / op.heads);
        let (step, group) = (softplus(dt[head] + dt_bias[head]), head * op.groups / op.heads);
        let mut y = d[head] * x[i];
        for s in 0..n {
            let rate = if a.len() == op.heads { a[head] } else { a[head * n + s] };
            let old = &mut state[i * n + s];
            *old = (step * rate).exp() * *old + step * x[i] * bc[group * n + s];
            y += bc[(op.groups + group) * n + s] * *old;
        }
        y
    };
    rows.iter().map(|row| (0..inner).map(|i| answer(row, i)).collect()).collect()
}

/// Gated delta rule; rows of [q | k | v], and of β and α.
pub(super) fn delta_rule(
    op: &DeltaRule,
    value_dim: usize,
    rows: &[[&[f64]; 2]],
    a: &[f64],
    dt_bias: &[f64],
    eps: f64,
) -> Vec<Vec<f64>> {
    let (dim, shared) = (op.key_dim, op.heads / op.key_heads);
    let unit = |x: &[f64]| -> Vec<f64> {
        let length = (x.iter().map(|x| x * x).sum::<f64>() + eps).sqrt();
        x.iter().map(|x| x / length).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut states = vec![vec![0.0; dim]; op.heads * value_dim];
    let mut answer = |[qkv, gates]: &[&[f64]; 2], head: usize| -> Vec<f64> {
        // the value heads of a key head: apart, or neighbours
        let (key, beta, alpha) = if op.tiled {
            (head % op.key_heads, gates[head], gates[op.heads + head])
        } else {
            let own = &gates[head / shared * 2 * shared..][..2 * shared];
            (head / shared, own[head % shared], own[shared + head % shared])
        };
        let part = |i: usize| unit(&qkv[(i * op.key_heads + key) * dim..][..dim]);
        let (q, k) = (part(0), part(1));
        let v = &qkv[2 * op.key_heads * dim + head * value_dim..][..value_dim];
        let decay = (a[head] * softplus(alpha + dt_bias[head])).exp();
        let update = |(state, v): (&mut Vec<f64>, &f64)| {
            state.iter_mut().for_each(|s| *s *= decay);
            let change = sigmoid(beta) * (v - dot(state, &k));
            state.iter_mut().zip(&k).for_each(|(s, k)| *s += change * k);
            dot(state, &q) / (dim as f64).sqrt()
        };
        states[head * value_dim..][..value_dim].iter_mut().zip(v).map(update).collect()
    };
    rows.iter().map(|row| (0..op.heads).flat_map(|head| answer(row, head)).collect()).collect()
}

/// RWKV's recurrence; rows of r, [w | a], k and v; the bonus, k_k and k_a.
pub(super) fn wkv(op: &Wkv, rows: &[[&[f64]; 4]], bonus: &[f64], delta: Option<[&[f64]; 2]>) -> Vec<Vec<f64>> {
    let n = rows[0][3].len();
    let dim = n / op.heads;
    let mut states = vec![vec![0.0; dim]; n];
    let mut answer = |[r, gates, k, v]: &[&[f64]; 4], head: usize| -> (Vec<f64>, Vec<f64>) {
        let own = head * dim..(head + 1) * dim;
        let part = |row: &[f64]| row[own.clone()].to_vec();
        let (r, w, mut k, v, bonus) = (part(r), part(gates), part(k), part(v), part(bonus));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let state = &mut states[own.clone()];
        let Some([k_k, k_a]) = delta else {
            let read: f64 = (0..dim).map(|i| r[i] * bonus[i] * k[i]).sum();
            let out = state.iter().zip(&v).map(|(s, v)| dot(s, &r) + read * v).collect();
            for (s, v) in state.iter_mut().zip(&v) {
                (0..dim).for_each(|i| s[i] = (-w[i].exp()).exp() * s[i] + v * k[i]);
            }
            return (out, Vec::new());
        };
        let rate: Vec<f64> = part(&gates[n..]).into_iter().map(sigmoid).collect();
        let mut known: Vec<f64> = k.iter().zip(part(k_k)).map(|(k, f)| k * f).collect();
        let length = dot(&known, &known).sqrt();
        known.iter_mut().for_each(|x| *x /= length);
        k.iter_mut().zip(part(k_a)).zip(&rate).for_each(|((k, f), rate)| *k *= 1.0 + (rate - 1.0) * f);
        let read: f64 = (0..dim).map(|i| r[i] * bonus[i] * k[i]).sum();
        let out = |(s, v): (&mut Vec<f64>, &f64)| {
            let answer = dot(s, &known);
            for i in 0..dim {
                let decay = (-sigmoid(w[i]) * (-0.5f64).exp()).exp();
                s[i] = s[i] * decay - answer * known[i] * rate[i] + v * k[i];
            }
            dot(s, &r)
        };
        (state.iter_mut().zip(&v).map(out).collect(), v.iter().map(|v| read * v).collect())
    };
    let row = |row| -> Vec<f64> {
        let (outs, rests): (Vec<_>, Vec<_>) = (0..op.heads).map(|head| answer(row, head)).unzip();
        [outs.concat(), rests.concat()].concat()
    };
    rows.iter().map(row).collect()
}

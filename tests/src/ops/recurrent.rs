//! Cases of ops that carry a state from row to row, and of those that go with them.

use gabion::graph::{BufId, Columns, Conv, DeltaRule, Lerp, Op, Scan, Shift, WeightId, Wkv};

use super::build::{Builder, Built, EPS, split, tokens};
use super::reference;

impl Builder {
    /// As many rows as there are tokens, or as `width`, below which tokens are, for several buffers.
    fn rows<const N: usize>(&mut self, n: usize, width: usize, widths: [usize; N]) -> [(BufId, Vec<Vec<f64>>); N] {
        widths.map(|columns| self.input(n.min(width), columns))
    }

    /// Ends a plan whose body made `out`, of the width of an answer.
    fn recur(mut self, batches: &[usize], all: &[u32], out: BufId, answers: Vec<Vec<f64>>) -> Built {
        let logits = self.show(out, answers[0].len());
        self.finish(out, logits, split(all, batches), answers.concat())
    }

    pub(super) fn conv(
        mut self,
        (channels, taps, before): (usize, usize, usize),
        batches: &[usize],
        gated: bool,
        bias: bool,
        silu: bool,
    ) -> Built {
        let n = batches.iter().sum();
        let parts = if gated { 3 } else { 1 };
        let [(x, rows)] = self.rows(n, channels, [before + parts * channels]);
        let (weight, w) = self.vector(channels * taps);
        let (bias, b) = if bias { Some(self.vector(channels)) } else { None }.unzip();
        let out = self.buffer(channels);
        self.states.push((taps - 1) * channels);
        self.body.push(Op::Conv(Conv { x, first: before, gated, weight, bias, silu, state: 0, out }));
        let all = tokens(n, rows.len());
        let inputs: Vec<&[f64]> = all.iter().map(|&t| &rows[t as usize][before..]).collect();
        let b = b.unwrap_or_else(|| vec![0.0; channels]);
        self.recur(batches, &all, out, reference::conv(&inputs, &w, &b, gated, silu))
    }

    pub(super) fn scan(
        mut self,
        [heads, head_dim, groups, n_state]: [usize; 4],
        batches: &[usize],
        rates: bool,
    ) -> Built {
        let (n, inner) = (batches.iter().sum(), heads * head_dim);
        let [(x, xs), (bc, bcs), (dt, dts)] = self.rows(n, inner, [inner, 3 + 2 * groups * n_state, 2 + heads]);
        let (dt_bias, bias) = self.vector(heads);
        let (a, mut elements) = self.vector(if rates { heads * n_state } else { heads });
        self.negate(a, &mut elements);
        let (d, factors) = self.vector(heads);
        let out = self.buffer(inner);
        self.states.push(inner * n_state);
        let (state, dt_bias) = (0, Some(dt_bias));
        let op = Scan { x, bc, b: 3, dt, first_dt: 2, dt_bias, a, d, heads, groups, n_state, state, out };
        self.body.push(Op::Scan(op));
        let all = tokens(n, xs.len());
        let of = |&t: &u32| [&xs[t as usize][..], &bcs[t as usize][3..], &dts[t as usize][2..]];
        let rows: Vec<[&[f64]; 3]> = all.iter().map(of).collect();
        let answers = reference::scan(&op, &rows, &elements, &factors, &bias);
        self.recur(batches, &all, out, answers)
    }

    pub(super) fn delta_rule(
        mut self,
        [key_heads, shared, key_dim, value_dim]: [usize; 4],
        batches: &[usize],
        tiled: bool,
    ) -> Built {
        let (n, heads) = (batches.iter().sum(), key_heads * shared);
        let inner = heads * value_dim;
        let [(qkv, rows), (gates, gate_rows)] = self.rows(n, inner, [2 * key_heads * key_dim + inner, 4 + 2 * heads]);
        let (a, mut elements) = self.vector(heads);
        self.negate(a, &mut elements);
        let (dt_bias, bias) = self.vector(heads);
        let out = self.buffer(inner);
        self.states.push(inner * key_dim);
        let op = DeltaRule { qkv, gates, first: 4, a, dt_bias, heads, key_heads, key_dim, tiled, state: 0, out };
        self.body.push(Op::DeltaRule(op));
        let all = tokens(n, rows.len());
        let rows: Vec<[&[f64]; 2]> =
            all.iter().map(|&t| [&rows[t as usize][..], &gate_rows[t as usize][4..]]).collect();
        let answers = reference::delta_rule(&op, value_dim, &rows, &elements, &bias, f64::from(EPS));
        self.recur(batches, &all, out, answers)
    }

    pub(super) fn wkv(mut self, [heads, dim]: [usize; 2], batches: &[usize], delta: bool) -> Built {
        let (total, n, parts) = (batches.iter().sum(), heads * dim, if delta { 2 } else { 1 });
        let [(r, rs), (gates, gate_rows), (k, ks), (v, vs)] = self.rows(total, n, [n, parts * n, n, n]);
        let (bonus, u) = self.vector(n);
        let (ids, vectors) = if delta { Some((self.vector(n), self.vector(n))) } else { None }
            .map(|((k_k, a), (k_a, b))| ([k_k, k_a], [a, b]))
            .unzip();
        let out = self.buffer(parts * n);
        self.states.push(n * dim);
        let op = Wkv { r, gates, k, v, bonus, delta: ids, heads, state: 0, out };
        self.body.push(Op::Wkv(op));
        let all = tokens(total, rs.len());
        let of = |&t: &u32| [&rs, &gate_rows, &ks, &vs].map(|rows| &rows[t as usize][..]);
        let rows: Vec<[&[f64]; 4]> = all.iter().map(of).collect();
        let vectors = vectors.as_ref().map(|[a, b]| [&a[..], &b[..]]);
        let answers = reference::wkv(&op, &rows, &u, vectors);
        self.recur(batches, &all, out, answers)
    }

    pub(super) fn lerp(mut self, cols: usize, (weight, by): (bool, bool), shifted: bool, batches: &[usize]) -> Built {
        let n = batches.iter().sum();
        let [(x, xs)] = self.rows(n, cols, [cols]);
        let weight = weight.then(|| self.vector(3 + cols));
        let by = by.then(|| self.input(n.min(cols), cols + 4));
        let (to, others) = if shifted { (self.buffer(cols), Vec::new()) } else { self.input(n.min(cols), cols) };
        if shifted {
            self.states.push(cols);
            self.body.push(Op::Shift(Shift { x, state: 0, out: to }));
        }
        let out = self.buffer(cols);
        let (weight_at, by_at) = (weight.as_ref().map(|w| (w.0, 3)), by.as_ref().map(|by| (by.0, 4)));
        self.body.push(Op::Lerp(Lerp { x, to, weight: weight_at, by: by_at, out }));
        let all = tokens(n, xs.len());
        let none = vec![0.0; cols];
        let answer = |i: usize| -> Vec<f64> {
            let own = all[i] as usize;
            let to = match (shifted, i) {
                (true, 0) => &none,
                (true, _) => &xs[all[i - 1] as usize],
                (false, _) => &others[own],
            };
            let summands = |c: usize| [weight.as_ref().map(|w| w.1[3 + c]), by.as_ref().map(|by| by.1[own][4 + c])];
            let factor = |c: usize| summands(c).into_iter().flatten().sum::<f64>();
            (0..cols).map(|c| xs[own][c] + (to[c] - xs[own][c]) * factor(c)).collect()
        };
        let answers = (0..n).map(answer).collect();
        self.recur(batches, &all, out, answers)
    }

    pub(super) fn combine(mut self, cols: usize, parts: usize, sigmoid: bool, n: usize) -> Built {
        let [(x, xs), (weights, by)] = self.rows(n, cols, [parts * cols, cols + 3]);
        let out = self.buffer(cols);
        self.body.push(Op::Combine { x, weights, first: 3, by_column: true, sigmoid, add: None, out });
        let all = tokens(n, xs.len());
        let answer = |&t: &u32| -> Vec<f64> {
            let (x, by) = (&xs[t as usize], &by[t as usize][3..]);
            let weight = |c: usize| if sigmoid { 1.0 / (1.0 + (-by[c]).exp()) } else { by[c] };
            (0..cols).map(|c| weight(c) * (0..parts).map(|p| x[p * cols + c]).sum::<f64>()).collect()
        };
        let answers = all.iter().map(answer).collect();
        self.recur(&[n], &all, out, answers)
    }

    /// Makes an F32 vector negative: rates of decay are.
    fn negate(&mut self, weight: WeightId, elements: &mut [f64]) {
        elements.iter_mut().for_each(|x| *x = -*x);
        self.data[weight.0 as usize].chunks_exact_mut(4).for_each(|x| x[3] ^= 0x80);
    }

    pub(super) fn gate(mut self, cols: usize, columns: Columns, sigmoid: bool, n: usize) -> Built {
        let width = columns.at(cols - 1) + 2;
        let [(x, xs), (gate, gates)] = self.rows(n, cols, [cols, width]);
        self.body.push(Op::Gate { x, gate, columns, sigmoid });
        let gated = |t: usize| (0..cols).map(move |i| (t, i));
        let answer = |(t, i): (usize, usize)| reference::gate(xs[t][i], gates[t][columns.at(i)], sigmoid);
        let tokens = tokens(n, xs.len());
        let expected = tokens.iter().flat_map(|&t| gated(t as usize).map(answer)).collect();
        let logits = self.show(x, cols);
        self.finish(x, logits, vec![tokens], expected)
    }
}

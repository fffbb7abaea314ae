//! Cases of matrices one below the other, those of experts or of heads, and of copied columns.

use gabion::graph::{Columns, Gating, Groups, Linear, Op, Routing};
use gabion::quant::TensorType;

use super::build::{Builder, Built, lookup, tokens};
use super::case::{MixtureCase, tensor_type};
use super::reference;

/// An op's matrix, its elements and its biases.
type Stack = (Linear, Vec<f64>, Vec<f64>);

impl Builder {
    /// Matrices of all experts or heads.
    fn stacked(&mut self, ty: TensorType, rows: usize, cols: usize, experts: usize, bias: bool) -> Stack {
        let (weight, elements) = self.matrix(ty, rows * experts, cols);
        self.weights[weight.0 as usize].experts = experts;
        let (id, biases) = if bias { Some(self.vector(rows * experts)) } else { None }.unzip();
        (Linear { weight, bias: id }, elements, biases.unwrap_or_else(|| vec![0.0; rows * experts]))
    }

    pub(super) fn mixture(mut self, case: &MixtureCase) -> Built {
        let MixtureCase { cols, rows, experts, used, n, bias, .. } = *case;
        let groups = Groups { count: case.groups, used: case.open, best: case.best };
        let routing = Routing {
            used,
            gating: if case.sigmoid { Gating::Sigmoid } else { Gating::Softmax },
            normalized: case.normalized,
            scale: case.scale,
            groups: (case.groups > 0).then_some(groups),
        };
        let (x, inputs) = self.input(n.min(cols), cols);
        let (router, router_elements) = self.router(experts, cols);
        let first = self.stacked(tensor_type(&case.ty), rows, cols, experts, bias);
        let second = self.stacked(tensor_type(&case.ty), cols, rows, experts, bias);
        let (merit, merits) = if case.merits { Some(self.vector(experts)) } else { None }.unzip();
        let [scores, routes, units, parts, out] =
            [experts, 2 * used, used * rows, used * cols, cols].map(|width| self.buffer(width));
        self.body.extend([
            Op::MatMul { linears: vec![Linear { weight: router, bias: None }], x, add: None, out: scores },
            Op::Route { x: scores, bias: merit, routing, out: routes },
            Op::Experts { linears: vec![first.0], x, routes, out: units },
            Op::Experts { linears: vec![second.0], x: units, routes, out: parts },
            Op::Combine { x: parts, weights: routes, first: used, by_column: false, sigmoid: false, add: None, out },
        ]);
        let logits = self.show(out, cols);
        let tokens = tokens(n, inputs.len());
        let answer = |&t: &u32| {
            let x = &inputs[t as usize];
            let mut sum = vec![0.0; cols];
            let scores = reference::mat_vec(&router_elements, x);
            for (e, weight) in reference::route(&scores, merits.as_deref(), &routing) {
                let part = of_one(&second, experts, e, &of_one(&first, experts, e, x));
                sum.iter_mut().zip(part).for_each(|(sum, y)| *sum += weight * y);
            }
            sum
        };
        let expected = tokens.iter().flat_map(answer).collect();
        self.finish(out, logits, vec![tokens], expected)
    }

    /// Heads with `gap` columns before each, in rows with room for one head more.
    pub(super) fn heads(
        mut self,
        ty: TensorType,
        (cols, rows, heads): (usize, usize, usize),
        gap: usize,
        n: usize,
    ) -> Built {
        let from = Columns { first: gap, len: cols, step: gap + cols };
        let to = Columns { first: gap, len: rows, step: gap + rows };
        let (x, inputs) = self.input(n, heads * from.step);
        let stack = self.stacked(ty, rows, cols, heads, false);
        let size = stack.1.iter().map(|w| w * w).sum::<f64>() / stack.1.len() as f64;
        let weight = stack.0.weight;
        let built = self.over(
            &inputs,
            (heads + 1) * to.step,
            |out| Op::Heads { weight, x, from, out, to },
            |x, out| {
                for head in 0..heads {
                    let y = of_one(&stack, heads, head, &x[from.at(head * cols)..][..cols]);
                    out[to.at(head * rows)..][..rows].copy_from_slice(&y);
                }
            },
        );
        let sum = (size * cols as f64).sqrt() * reference::rms(&inputs.concat());
        Built { scale: built.scale.max(sum), ..built }
    }

    pub(super) fn take(mut self, from: Columns, to: Columns, width: usize, n: usize) -> Built {
        let last = |columns: &Columns| columns.at(width - 1) + 1;
        let (x, inputs) = self.input(n, last(&from) + 3);
        let op = |out| Op::Take { x, from, n: width, out, to };
        self.over(&inputs, last(&to) + 2, op, |x, out| (0..width).for_each(|i| out[to.at(i)] = x[from.at(i)]))
    }

    /// An op that changes some columns of rows that hold something.
    fn over(
        mut self,
        inputs: &[Vec<f64>],
        width: usize,
        op: impl Fn(gabion::graph::BufId) -> Op,
        f: impl Fn(&[f64], &mut [f64]),
    ) -> Built {
        let out = self.buffer(width);
        let (table, before) = self.matrix(TensorType::F32, inputs.len(), width);
        self.body.push(lookup(table, 1.0, out));
        self.body.push(op(out));
        let logits = self.show(out, width);
        let tokens = tokens(inputs.len(), inputs.len());
        let answer = |(x, before): (&Vec<f64>, &[f64])| {
            let mut row = before.to_vec();
            f(x, &mut row);
            row
        };
        let expected = inputs.iter().zip(before.chunks_exact(width)).flat_map(answer).collect();
        self.finish(out, logits, vec![tokens], expected)
    }
}

/// W x + b of one of `all` experts or heads.
fn of_one((_, elements, biases): &Stack, all: usize, one: usize, x: &[f64]) -> Vec<f64> {
    let (size, len) = (elements.len() / all, biases.len() / all);
    let y = reference::mat_vec(&elements[one * size..][..size], x);
    y.iter().zip(&biases[one * len..][..len]).map(|(y, b)| y + b).collect()
}

//! Finds neighbouring ops that one kernel makes together when a single row is computed: a norm and the product of its result,
//! gate and up and their gated unit, rope and attention.

use super::placement::Placement;
use super::planes::{TILE, UNIT};
use crate::graph::{Activation, BufId, Mask, NormKind, Op, Plan, Section, WeightId};

/// Longest head that the workgroup memory of attention's tiles holds.
pub(super) const MAX_HEAD_DIM: usize = 256;

/// One op, or several in one.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    Op(&'a Op),
    Product(Product),
    /// RopeStore and Attention.
    Attend {
        qkv: BufId,
        layer: usize,
        out: BufId,
    },
}

/// A `MatMul` with what is made in the same go.
#[derive(Debug, PartialEq)]
pub(super) struct Product {
    /// Its place among the plan's products.
    pub(super) index: usize,
    pub(super) x: BufId,
    /// RMS norm of x that comes first.
    pub(super) norm: Option<WeightId>,
    /// Gated unit of the two matrices that comes last.
    pub(super) glu: Option<Activation>,
    pub(super) add: Option<BufId>,
    pub(super) out: BufId,
}

/// Which ops may be made together.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Any at all: there is one row.
    pub(super) single: bool,
    /// A norm with its product.
    pub(super) norm: bool,
}

/// The ops of a section of a plan.
pub(super) fn steps<'a>(plan: &'a Plan, placement: &Placement, section: Section, rules: Rules) -> Vec<Step<'a>> {
    let products = |ops: &[Op]| ops.iter().filter(|op| matches!(op, Op::MatMul { .. })).count();
    let before: &[&[Op]] = match section {
        Section::Encoder => &[],
        Section::Body => &[&plan.encoder],
        Section::Head => &[&plan.encoder, &plan.body],
    };
    let first = before.iter().map(|ops| products(ops)).sum();
    let mut fuser = Fuser { plan, placement, rules, product: first };
    let mut rest = plan.section(section);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, used) = fuser.next(rest);
        steps.push(step);
        rest = &rest[used..];
    }
    steps
}

struct Fuser<'a, 'b> {
    plan: &'a Plan,
    placement: &'b Placement,
    rules: Rules,
    product: usize,
}

impl<'a> Fuser<'a, '_> {
    /// The next step, and how many ops it makes.
    fn next(&mut self, ops: &'a [Op]) -> (Step<'a>, usize) {
        match ops {
            [Op::RopeStore { qkv, layer }, Op::Attention { qkv: of, out, .. }, ..]
                if self.attends(*qkv, *layer, *of, &ops[2..]) =>
            {
                (Step::Attend { qkv: *qkv, layer: *layer, out: *out }, 2)
            }
            [Op::Norm { kind: NormKind::Rms, x, weight, bias: None, add: None, out }, rest @ ..]
                if self.norms(*x, *out, rest) =>
            {
                let (step, used) = self.product(Some((*x, *weight)), rest);
                (step, used + 1)
            }
            [Op::MatMul { .. }, ..] => self.product(None, ops),
            _ => (Step::Op(&ops[0]), 1),
        }
    }

    /// Whether nothing but `readers` ops of the plan reads `buffer`.
    fn has_readers(&self, buffer: BufId, readers: usize) -> bool {
        let found = self.plan.ops().filter(|op| op.buffers().0.contains(&buffer)).count();
        found == readers && buffer != self.plan.hidden && buffer != self.plan.logits
    }

    fn apart(&self, a: BufId, b: BufId) -> bool {
        self.plan.slot(a) != self.plan.slot(b)
    }

    /// The turned queries and keys are not written back: nothing may read them later.
    fn attends(&self, qkv: BufId, layer: usize, of: BufId, later: &[Op]) -> bool {
        let layer = &self.plan.layers[layer];
        let fits = layer.head_dim <= MAX_HEAD_DIM && layer.mask == Mask::Causal && layer.kv_from.is_none();
        let read = later.iter().chain(&self.plan.head).any(|op| op.buffers().0.contains(&qkv));
        self.rules.single && qkv == of && fits && !read && qkv != self.plan.hidden && qkv != self.plan.logits
    }

    /// Whether the product that follows is all that reads the norm's result.
    fn norms(&self, x: BufId, normed: BufId, rest: &[Op]) -> bool {
        let Some(Op::MatMul { x: input, add, out, .. }) = rest.first() else { return false };
        let whole = self.plan.width(x).is_multiple_of(UNIT);
        let once = *input == normed && *add != Some(normed) && self.has_readers(normed, 1);
        self.rules.single && self.rules.norm && whole && once && self.apart(x, *out)
    }

    fn product(&mut self, norm: Option<(BufId, WeightId)>, ops: &'a [Op]) -> (Step<'a>, usize) {
        let index = self.product;
        self.product += 1;
        let Op::MatMul { x, add, out, .. } = &ops[0] else { return (Step::Op(&ops[0]), 1) };
        let x = norm.map_or(*x, |(x, _)| x);
        let norm = norm.map(|(_, weight)| weight);
        let product = Product { index, x, norm, glu: None, add: *add, out: *out };
        match ops.get(1) {
            Some(Op::Activate { parts: 1, x: gated, activation, gated: true, out })
                if self.gates(&product, *gated, *out) =>
            {
                (Step::Product(Product { glu: Some(*activation), out: *out, ..product }), 2)
            }
            _ => (Step::Product(product), 1),
        }
    }

    /// Whether the product's two halves lie together, and only the gated unit reads them.
    fn gates(&self, product: &Product, gated: BufId, out: BufId) -> bool {
        let width = self.plan.width(out);
        let [segment] = self.placement.products[product.index].as_slice() else { return false };
        let halves = segment.rows == 2 * width && width.is_multiple_of(TILE);
        let once = gated == product.out && product.add.is_none() && self.has_readers(gated, 1);
        self.rules.single && halves && once && self.apart(product.x, out)
    }
}

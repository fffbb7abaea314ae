//! Checks that a plan's parts fit together, so that no device's kernel has to.

use crate::error::{Error, Result};
use crate::graph::{
    AttentionPlan, BufId, Columns, Conv, DeltaRule, Groups, Lerp, Linear, MAX_EXPERTS, MAX_WKV_HEAD, Mask, NormPart,
    Op, Plan, RELATIVE_REACH, Routing, Scan, WeightId, Wkv,
};
use crate::quant::TensorType;

/// An error if the plan has a type that is not `supported`, or contradicts itself.
pub(super) fn check(plan: &Plan, supported: impl Fn(TensorType) -> bool) -> Result<()> {
    for weight in &plan.weights {
        let (name, ty) = (&weight.name, weight.ty);
        if !supported(ty) {
            return Err(Error::Unsupported(format!(
                "tensor '{name}' is {}, which this device cannot compute with yet",
                ty.name()
            )));
        }
        let whole = weight.rows > 0 && weight.cols > 0 && weight.cols.is_multiple_of(ty.block_len());
        expect(whole && (weight.matrix || weight.rows == 1), name)?;
    }
    plan.buffers.iter().try_for_each(|b| expect(plan.slots.get(b.slot).is_some_and(|&w| w >= b.width), "slots"))?;
    plan.layers.iter().enumerate().try_for_each(|(i, layer)| attention(plan, i, layer))?;
    plan.ops().try_for_each(|op| expect(fits(plan, op)?, op_name(op)))?;
    let in_place = |op: &Op| {
        op.buffers().1 == plan.hidden
            || matches!(op, Op::RopeStore { .. } | Op::Attention { .. } | Op::NormPart(_) | Op::Embed { .. })
            || matches!(op, Op::Conv(_) | Op::Scan(_) | Op::DeltaRule(_) | Op::Gate { .. })
            || matches!(op, Op::Shift(_) | Op::Lerp(_) | Op::Wkv(_))
            || matches!(op, Op::Heads { .. } | Op::Take { .. } | Op::Store { .. })
    };
    expect(!plan.head.iter().any(in_place), "head")?;
    expect(width(plan, plan.logits)? == plan.n_vocab, "logits")
}

fn expect(ok: bool, what: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Internal(format!("the plan contradicts itself at {what}"))) }
}

fn op_name(op: &Op) -> &'static str {
    match op {
        Op::Embed { .. } => "embed",
        Op::Norm { .. } => "norm",
        Op::NormPart(_) => "norm_part",
        Op::MatMul { .. } => "mat_mul",
        Op::RopeStore { .. } => "rope_store",
        Op::Store { .. } => "store",
        Op::Attention { .. } => "attention",
        Op::Route { .. } => "route",
        Op::Experts { .. } => "experts",
        Op::Heads { .. } => "heads",
        Op::Take { .. } => "take",
        Op::Combine { .. } => "combine",
        Op::Activate { .. } => "activate",
        Op::Conv(_) => "conv",
        Op::Scan(_) => "scan",
        Op::DeltaRule(_) => "delta_rule",
        Op::Shift(_) => "shift",
        Op::Lerp(_) => "lerp",
        Op::Wkv(_) => "wkv",
        Op::Gate { .. } => "gate",
        Op::Scale { .. } => "scale",
    }
}

fn width(plan: &Plan, id: BufId) -> Result<usize> {
    let buffer = plan.buffers.get(usize::from(id.0));
    buffer.map(|b| b.width).ok_or_else(|| Error::Internal("the plan names a buffer it has not".into()))
}

/// Whether `id` is a vector of `len` elements.
fn vector(plan: &Plan, id: Option<WeightId>, len: usize) -> bool {
    id.is_none_or(|id| plan.weights.get(id.0 as usize).is_some_and(|w| !w.matrix && w.cols == len))
}

/// (rows, cols) of a matrix.
fn matrix(plan: &Plan, id: WeightId) -> Option<(usize, usize)> {
    plan.weights.get(id.0 as usize).filter(|w| w.matrix).map(|w| (w.rows, w.cols))
}

fn attention(plan: &Plan, layer: usize, a: &AttentionPlan) -> Result<()> {
    let heads =
        a.head_dim > 0 && a.kv_heads > 0 && a.heads > 0 && a.heads.is_multiple_of(a.kv_heads) && a.window != Some(0);
    let norms = vector(plan, a.q_norm, a.head_dim) && vector(plan, a.k_norm, a.head_dim);
    let rope = plan.ropes.get(a.rope);
    let rope = rope.is_some_and(|r| {
        let pairs = r.inv_freq.len();
        let long = r.long.map(|(_, factors)| factors);
        2 * pairs <= a.head_dim && vector(plan, r.factors, pairs) && vector(plan, long, pairs)
    });
    let relative = a.relative.is_none_or(|r| {
        let buckets = (4..=RELATIVE_REACH).contains(&r.buckets) && r.buckets.is_multiple_of(4);
        buckets && vector(plan, Some(r.table), a.heads * r.buckets)
    });
    let source = a.kv_from.is_none_or(|source| source < layer && shares(&plan.layers[source], a));
    expect(heads && norms && rope && relative && vector(plan, a.sinks, a.heads) && source, "a layer")
}

/// Whether a layer can attend to another's keys and values.
fn shares(source: &AttentionPlan, a: &AttentionPlan) -> bool {
    let cache = |a: &AttentionPlan| (a.kv_heads, a.head_dim, a.keys_only, a.mask, a.window);
    source.kv_from.is_none() && cache(source) == cache(a)
}

fn fits(plan: &Plan, op: &Op) -> Result<bool> {
    let width = |id: &BufId| width(plan, *id);
    let apart = |a: &BufId, b: &BufId| plan.slot(*a) != plan.slot(*b);
    let add_fits = |add: &Option<BufId>, x: &BufId, out: &BufId| match add {
        Some(add) => Ok(width(add)? == width(out)? && (add == out || apart(add, out)) && apart(x, out)),
        None => Ok::<_, Error>(apart(x, out)),
    };
    Ok(match op {
        Op::Embed { table, out, .. } => matrix(plan, *table).map(|(_, cols)| cols) == Some(width(out)?),
        Op::Norm { x, weight, bias, add, out, .. } => {
            let len = width(out)?;
            let vectors = vector(plan, Some(*weight), len) && vector(plan, *bias, len);
            width(x)? == len && vectors && add_fits(add, x, out)?
        }
        Op::NormPart(NormPart { x, first, len, parts, weight, bias, .. }) => {
            let end = len.checked_mul(*parts).and_then(|all| Some((all, all.checked_add(*first)?)));
            end.is_some_and(|(all, end)| {
                let whole = [*weight, *bias].iter().all(|id| vector(plan, *id, *len) || vector(plan, *id, all));
                *len > 0 && whole && width(x).is_ok_and(|width| end <= width)
            })
        }
        Op::Conv(conv) => conv_fits(plan, conv)? && apart(&conv.x, &conv.out),
        Op::Scan(scan) => {
            let inputs = [scan.x, scan.bc, scan.dt];
            scan_fits(plan, scan)? && inputs.iter().all(|x| apart(x, &scan.out))
        }
        Op::DeltaRule(rule) => {
            delta_rule_fits(plan, rule)? && apart(&rule.qkv, &rule.out) && apart(&rule.gates, &rule.out)
        }
        Op::Shift(shift) => {
            let n = width(&shift.x)?;
            n > 0 && width(&shift.out)? == n && state(plan, shift.state, &[n]) && apart(&shift.x, &shift.out)
        }
        Op::Lerp(lerp) => {
            let (reads, out) = op.buffers();
            lerp_fits(plan, lerp)? && reads.iter().all(|x| apart(x, &out))
        }
        Op::Wkv(wkv) => {
            let (reads, out) = op.buffers();
            wkv_fits(plan, wkv)? && reads.iter().all(|x| apart(x, &out))
        }
        Op::Gate { x, gate, columns, .. } => within(columns, width(x)?, width(gate)?) && apart(x, gate),
        Op::MatMul { linears, x, add, out } => {
            let cols = width(x)?;
            let rows = linears.iter().map(|l| linear(plan, l, cols)).try_fold(0usize, |sum, rows| Some(sum + rows?));
            let rows = rows.filter(|_| linears.iter().all(|l| plan.weight(l.weight).experts == 1));
            rows == Some(width(out)?) && add_fits(add, x, out)?
        }
        Op::RopeStore { qkv, layer } => qkv_fits(plan, *layer, width(qkv)?),
        Op::Store { kv, layer } => {
            let width = width(kv)?;
            plan.layers.get(*layer).is_some_and(|a| width == a.kv_width())
        }
        Op::Attention { qkv, layer, out } => {
            let a = plan.layers.get(*layer);
            let out_fits = a.is_some_and(|a| width(out).ok() == Some(a.heads * a.head_dim));
            let q_fits = match a.map(|a| a.mask) {
                Some(Mask::Cross) => a.is_some_and(|a| width(qkv).ok() == Some(a.heads * a.head_dim)),
                _ => qkv_fits(plan, *layer, width(qkv)?),
            };
            out_fits && q_fits && apart(qkv, out)
        }
        Op::Activate { parts, x, gated, out, .. } => {
            let units = width(out)?;
            let whole = *parts > 0 && units.is_multiple_of(*parts);
            whole && width(x)? == (if *gated { 2 * units } else { units }) && apart(x, out)
        }
        Op::Route { x, bias, routing, out } => {
            let experts = width(x)?;
            routing_fits(routing, experts)
                && vector(plan, *bias, experts)
                && width(out)? == 2 * routing.used
                && apart(x, out)
        }
        Op::Heads { weight, x, from, out, to } => {
            let Some(weight) = plan.weights.get(weight.0 as usize).filter(|w| w.matrix && w.experts > 0) else {
                return Ok(false);
            };
            let lengths = from.len == weight.cols && to.len == weight.rows / weight.experts;
            let runs = |columns, len, width| within(columns, weight.experts.saturating_mul(len), width);
            let inside = runs(from, from.len, width(x)?) && runs(to, to.len, width(out)?);
            lengths && inside && to.step >= to.len && width(out)?.is_multiple_of(to.step) && apart(x, out)
        }
        Op::Take { x, from, n, out, to } => within(from, *n, width(x)?) && within(to, *n, width(out)?) && apart(x, out),
        Op::Experts { linears, x, routes, out } => {
            let (used, x_width) = (width(routes)? / 2, width(x)?);
            let first = linears.first().and_then(|l| plan.weights.get(l.weight.0 as usize));
            let (cols, experts) = first.map_or((0, 1), |w| (w.cols, w.experts));
            let same =
                linears.iter().all(|l| plan.weights.get(l.weight.0 as usize).is_some_and(|w| w.experts == experts));
            let rows = linears.iter().map(|l| linear(plan, l, cols)).try_fold(0usize, |sum, rows| Some(sum + rows?));
            let fits = rows.is_some_and(|rows| width(out).is_ok_and(|width| width == used * (rows / experts)));
            let input = cols > 0 && (x_width == cols || x_width == used * cols);
            used > 0 && same && fits && input && apart(x, out) && apart(routes, out)
        }
        Op::Combine { x, weights, first, by_column, add, out, .. } => {
            let n = width(out)?;
            let parts = width(x)? / n.max(1);
            let all = first.saturating_add(if *by_column { n } else { parts });
            let whole = n > 0 && width(x)? == parts * n && all <= width(weights)?;
            whole && apart(weights, out) && add_fits(add, x, out)?
        }
        Op::Scale { x, by, .. } => width(x)? > 0 && vector(plan, *by, 1),
    })
}

/// Whether a state has so many elements.
fn state(plan: &Plan, index: usize, dims: &[usize]) -> bool {
    let product = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    product.is_some() && product == plan.states.get(index).copied()
}

/// Whether columns `first..first + parts * len` lie within a row.
fn columns(first: usize, parts: usize, len: usize, width: usize) -> bool {
    parts.checked_mul(len).and_then(|n| n.checked_add(first)).is_some_and(|end| end <= width)
}

fn conv_fits(plan: &Plan, conv: &Conv) -> Result<bool> {
    let (channels, x_width) = (width(plan, conv.out)?, width(plan, conv.x)?);
    let Some(weight) = plan.weights.get(conv.weight.0 as usize).filter(|w| !w.matrix) else { return Ok(false) };
    let taps = weight.cols / channels.max(1);
    let whole = channels > 0 && taps > 0 && weight.cols == taps * channels && vector(plan, conv.bias, channels);
    let inputs = columns(conv.first, if conv.gated { 3 } else { 1 }, channels, x_width);
    Ok(whole && inputs && state(plan, conv.state, &[taps - 1, channels]))
}

fn scan_fits(plan: &Plan, scan: &Scan) -> Result<bool> {
    let Scan { heads, groups, n_state, .. } = *scan;
    let inner = width(plan, scan.out)?;
    let whole = heads > 0 && groups > 0 && n_state > 0 && inner.is_multiple_of(heads) && heads.is_multiple_of(groups);
    let inputs = width(plan, scan.x)? >= inner
        && columns(scan.b, 2 * groups, n_state, width(plan, scan.bc)?)
        && columns(scan.first_dt, heads, 1, width(plan, scan.dt)?);
    let rates = vector(plan, Some(scan.a), heads) || vector(plan, Some(scan.a), heads.saturating_mul(n_state));
    let vectors = rates && vector(plan, Some(scan.d), heads) && vector(plan, scan.dt_bias, heads);
    Ok(whole && inputs && vectors && state(plan, scan.state, &[inner, n_state]))
}

fn delta_rule_fits(plan: &Plan, rule: &DeltaRule) -> Result<bool> {
    let DeltaRule { heads, key_heads, key_dim, .. } = *rule;
    let inner = width(plan, rule.out)?;
    let whole = heads > 0 && key_heads > 0 && key_dim > 0 && heads.is_multiple_of(key_heads);
    let inputs = width(plan, rule.qkv)?.checked_sub(inner) == key_heads.checked_mul(key_dim).map(|keys| 2 * keys)
        && columns(rule.first, 2, heads, width(plan, rule.gates)?);
    let vectors = vector(plan, Some(rule.a), heads) && vector(plan, Some(rule.dt_bias), heads);
    Ok(whole && inner.is_multiple_of(heads) && inputs && vectors && state(plan, rule.state, &[inner, key_dim]))
}

fn lerp_fits(plan: &Plan, lerp: &Lerp) -> Result<bool> {
    let n = width(plan, lerp.out)?;
    let weight = lerp.weight.is_none_or(|(id, first)| {
        plan.weights.get(id.0 as usize).is_some_and(|w| !w.matrix && columns(first, 1, n, w.cols))
    });
    let by = lerp.by.is_none_or(|(id, first)| width(plan, id).is_ok_and(|width| columns(first, 1, n, width)));
    Ok(width(plan, lerp.x)? == n && width(plan, lerp.to)? == n && weight && by)
}

fn wkv_fits(plan: &Plan, wkv: &Wkv) -> Result<bool> {
    let n = width(plan, wkv.v)?;
    let parts = if wkv.delta.is_some() { 2 } else { 1 };
    let whole = n > 0 && wkv.heads > 0 && n.is_multiple_of(wkv.heads) && n / wkv.heads <= MAX_WKV_HEAD;
    let inputs = [(wkv.r, 1), (wkv.k, 1), (wkv.gates, parts), (wkv.out, parts)];
    let inputs = inputs.iter().all(|&(id, parts)| width(plan, id).is_ok_and(|width| width == parts * n));
    let vectors = [wkv.bonus].iter().chain(wkv.delta.iter().flatten()).all(|id| vector(plan, Some(*id), n));
    Ok(whole && inputs && vectors && state(plan, wkv.state, &[n, n / wkv.heads]))
}

/// Whether `n` elements of these columns lie in a row of `width`.
fn within(columns: &Columns, n: usize, width: usize) -> bool {
    columns.end(n).is_some_and(|end| end <= width)
}

fn routing_fits(routing: &Routing, experts: usize) -> bool {
    let chosen_from = match routing.groups {
        None => experts,
        Some(Groups { count, used, best }) => {
            let whole = count > 0 && used > 0 && used <= count && experts.is_multiple_of(count);
            if !whole || best == 0 || best > experts / count {
                return false;
            }
            experts / count * used
        }
    };
    experts <= MAX_EXPERTS && routing.used > 0 && routing.used <= chosen_from
}

fn linear(plan: &Plan, linear: &Linear, cols: usize) -> Option<usize> {
    let (rows, weight_cols) = matrix(plan, linear.weight)?;
    (weight_cols == cols && vector(plan, linear.bias, rows)).then_some(rows)
}

fn qkv_fits(plan: &Plan, layer: usize, width: usize) -> bool {
    plan.layers.get(layer).is_some_and(|a| width == a.qkv_width())
}

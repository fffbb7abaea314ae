//! Chooses levels and shapes of products by timing them, once per adapter, driver and version: the answer is kept (`tuned.rs`). A
//! browser keeps nothing and compiles slowly, so there fewer are tried, each time. Nothing here can fail; what cannot be measured
//! is not chosen.

use std::sync::Arc;

use super::products::{MatMat, MatVec, Products};
use super::state::{Duration, Instant};
#[cfg(not(target_arch = "wasm32"))]
use super::tuned::Tuned;
use super::{Gpu, GpuOptions, Level, level};
use crate::device::{Batch, CancelFlag, Device, KvType, Outputs, Precision, State, StateOptions, Texts};
use crate::error::Result;
use crate::graph::{BufId, Buffer, Linear, Lookup, Op, Plan, Weight, WeightId};
use crate::quant::TensorType;

/// When no further candidate is begun.
const BUDGET: Duration = Duration::from_millis(250);
/// How much faster than a plainer candidate another must be.
const MARGIN: f64 = 0.95;
/// Columns and rows of the matrix, products in a row, rows of the batch.
const WIDTH: usize = 2048;
const PRODUCTS: usize = 8;
const ROWS: usize = 128;
/// How much longer the chain is for one row: a browser's clock is coarse, and its answers take a millisecond.
const LONGER: usize = if BROWSER { 8 } else { 1 };
const BROWSER: bool = cfg!(target_arch = "wasm32");
/// What is tried besides the base level: not `texel`, which is for drivers of CPUs. In a browser only the first may come to be
/// timed: that from which most adapters gain.
const LEVELS: &[Level] = if BROWSER {
    &[Level::Int8, Level::F16, Level::Subgroup]
} else {
    &[Level::Subgroup, Level::Int8, Level::F16, Level::Matrix]
};
/// Shapes at the base level.
const ONES: &[(u32, u32)] = if BROWSER { &[(16, 1)] } else { &[(16, 1), (8, 1), (16, 2)] };
const MANYS: &[(u32, u32)] = if BROWSER { &[(16, 1)] } else { &[(16, 1), (16, 2)] };

/// Everything that is tried, plainest first.
pub(super) fn candidates() -> (Vec<MatVec>, Vec<MatMat>) {
    let one = |level, (split, tiles)| MatVec { level, split, tiles };
    let many = |level, (groups, quads)| MatMat { level, groups, quads, split: 1 };
    let ones = ONES.iter().map(|&shape| one(Level::Base, shape));
    let manys = MANYS.iter().map(|&shape| many(Level::Base, shape));
    let other_ones = LEVELS.iter().map(|&level| one(level, ONES[0]));
    let other_manys = LEVELS.iter().flat_map(|&level| MANYS.iter().map(move |&shape| many(level, shape)));
    (ones.chain(other_ones).collect(), manys.chain(other_manys).collect())
}

/// The products that pay most on this device, and are right.
#[cfg_attr(target_arch = "wasm32", allow(unused_variables, reason = "there is no folder to keep the choice in"))]
pub(super) async fn choose(gpu: &Arc<Gpu>, options: &GpuOptions) -> Products {
    #[cfg(not(target_arch = "wasm32"))]
    let tuned = Tuned::of(&gpu.info, options);
    #[cfg(not(target_arch = "wasm32"))]
    if let Some(products) = tuned.read() {
        return if confirmed(gpu, products).await { products } else { gpu.products };
    }
    let start = Instant::now();
    let products = timed(gpu, start).await.unwrap_or(gpu.products);
    log::info!("'{}': {products:?}, found in {:.0} ms", gpu.info.name, start.elapsed().as_secs_f64() * 1e3);
    #[cfg(not(target_arch = "wasm32"))]
    tuned.write(products);
    products
}

/// Whether the device offers the levels, and they compute what they should.
async fn confirmed(gpu: &Arc<Gpu>, products: Products) -> bool {
    let levels = [products.one.level, products.many.level];
    if levels == [Level::Base; 2] {
        return true;
    }
    let offered = levels.iter().all(|&level| gpu.offers(level));
    let right = offered && matches!(level::self_test(gpu.with_products(products)).await, Ok(true));
    if !right {
        log::warn!("'{}' does not compute well at {levels:?}: level 'base' is taken", gpu.info.name);
    }
    right
}

/// The fastest candidates that are right, of those that the time suffices for.
async fn timed(gpu: &Arc<Gpu>, start: Instant) -> Result<Products> {
    let (ones, manys) = candidates();
    let mut products = gpu.products;
    let mut found = Vec::new();
    for one in ones.into_iter().filter(|one| gpu.offers(one.level)) {
        if start.elapsed() < BUDGET / 2 {
            found.push((one, seconds(gpu, Products { one, ..gpu.products }, 1).await?));
        }
    }
    for one in by_speed(found) {
        if confirmed(gpu, Products { one, ..gpu.products }).await {
            products.one = one;
            break;
        }
    }
    let mut found = Vec::new();
    for many in manys.into_iter().filter(|many| gpu.offers(many.level)) {
        if start.elapsed() < BUDGET {
            found.push((many, seconds(gpu, Products { many, ..gpu.products }, ROWS).await?));
        }
    }
    for many in by_speed(found) {
        if confirmed(gpu, Products { many, ..gpu.products }).await {
            products.many = many;
            break;
        }
    }
    Ok(products)
}

/// Fastest first; a candidate stays behind a plainer one that it does not clearly beat.
fn by_speed<T>(found: Vec<(T, f64)>) -> Vec<T> {
    let mut order: Vec<(T, f64)> = Vec::new();
    for (candidate, seconds) in found {
        let at = order.iter().position(|(_, other)| seconds < MARGIN * other).unwrap_or(order.len());
        order.insert(at, (candidate, seconds));
    }
    order.into_iter().map(|(candidate, _)| candidate).collect()
}

/// How long a chain of products of `rows` rows takes: the best of a few runs after the first, which compiles.
async fn seconds(gpu: &Arc<Gpu>, products: Products, rows: usize) -> Result<f64> {
    let mut state = chain(gpu.with_products(products), if rows == 1 { LONGER * PRODUCTS } else { PRODUCTS }).await?;
    let (tokens, mut logits) = (vec![0; rows], Vec::new());
    let mut best = f64::INFINITY;
    for run in 0..4 {
        let start = Instant::now();
        let batch = Batch { tokens: &tokens, pos: 0, outputs: Outputs::Last, texts: Texts::default() };
        state.run(batch, &CancelFlag::default(), &mut logits).await?;
        if run > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

/// Products of one matrix after another; the numbers do not matter.
async fn chain(gpu: Arc<Gpu>, products: usize) -> Result<Box<dyn State>> {
    let plan = Arc::new(plan(products));
    let mut loader = gpu.loader(plan.clone(), Precision::Fast)?;
    for (i, weight) in plan.weights.iter().enumerate() {
        loader.rows(WeightId(i as u32), 0, &vec![0x11; weight.rows * weight.row_bytes()])?;
    }
    let options = StateOptions { n_ctx: ROWS, max_batch: ROWS, max_outputs: 1, kv: KvType::F16 };
    loader.finish().await?.state(&options)
}

fn plan(products: usize) -> Plan {
    let weight = |name: &str, ty, rows| Weight {
        name: name.into(),
        ty,
        rows,
        experts: 1,
        cols: WIDTH,
        shard: 0,
        offset: 0,
        matrix: true,
    };
    let product = |weight, x, out| {
        let linears = vec![Linear { weight: WeightId(weight), bias: None }];
        Op::MatMul { linears, x: BufId(x), add: None, out: BufId(out) }
    };
    let buffer = |slot, width| Buffer { width, slot };
    let mut body = vec![Op::Embed { table: WeightId(0), by: Lookup::Token, scale: 1.0, add: false, out: BufId(0) }];
    body.extend((0..products as u16).map(|i| product(1, i % 2, 1 - i % 2)));
    Plan {
        encoder: Vec::new(),
        body,
        head: vec![product(2, 0, 2)],
        hidden: BufId(0),
        logits: BufId(2),
        buffers: vec![buffer(0, WIDTH), buffer(1, WIDTH), buffer(2, 32)],
        slots: vec![WIDTH, WIDTH, 32],
        weights: vec![
            weight("table", TensorType::Q4_0, 32),
            weight("matrix", TensorType::Q4_K, WIDTH),
            weight("head", TensorType::Q4_0, 32),
        ],
        layers: vec![],
        states: vec![],
        ropes: vec![],
        eps: 1e-6,
        n_embd: WIDTH,
        n_vocab: 32,
        texts: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plainer_wins_where_the_difference_is_small() {
        assert_eq!(by_speed(vec![("a", 1.0), ("b", 0.97), ("c", 0.5), ("d", 0.49)]), ["c", "d", "a", "b"]);
        assert_eq!(by_speed(vec![("a", f64::NAN), ("b", 1.0)]).len(), 2);
    }

    #[test]
    fn candidates_are_distinct_and_begin_with_the_plainest() {
        let (ones, manys) = candidates();
        assert!(ones.iter().enumerate().all(|(i, one)| !ones[..i].contains(one)));
        assert!(manys.iter().enumerate().all(|(i, many)| !manys[..i].contains(many)));
        assert_eq!(Products { one: ones[0], many: manys[0] }, Products::new(16, 1, 16));
    }
}

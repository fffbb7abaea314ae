//! Chooses levels and shapes of products by timing them, once per adapter, driver and version: the answer is kept in the user's
//! cache folder. Nothing here can fail; what cannot be measured is not chosen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kept::Kept;
use super::products::{MatMat, MatVec, Products};
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

/// Everything that is tried, plainest first.
fn candidates() -> (Vec<MatVec>, Vec<MatMat>) {
    let one = |level, split, tiles| MatVec { level, split, tiles };
    let many = |level, groups, quads| MatMat { level, groups, quads, split: 1 };
    let ones = [(16, 1), (8, 1), (16, 2)].map(|(split, tiles)| one(Level::Base, split, tiles));
    let manys = [(16, 1), (16, 2)].map(|(groups, quads)| many(Level::Base, groups, quads));
    let others = Level::ALL.iter().filter(|&&level| level != Level::Base);
    let other_ones = others.clone().map(|&level| one(level, 16, 1));
    let other_manys = others.flat_map(|&level| [many(level, 16, 1), many(level, 16, 2)]);
    (ones.into_iter().chain(other_ones).collect(), manys.into_iter().chain(other_manys).collect())
}

/// The products that pay most on this device, and are right.
pub(super) async fn choose(gpu: &Arc<Gpu>, options: &GpuOptions) -> Products {
    let kept = Kept::new("products", &gpu.info, options.cache_folder.as_deref());
    let known = kept.read().and_then(|text| parse(std::str::from_utf8(&text).ok()?));
    if let Some(products) = known {
        if confirmed(gpu, products).await {
            return products;
        }
        return gpu.products;
    }
    let start = Instant::now();
    let products = timed(gpu, start).await.unwrap_or(gpu.products);
    log::info!("'{}': {products:?}, found in {:.0} ms", gpu.info.name, start.elapsed().as_secs_f64() * 1e3);
    kept.write(text(products).as_bytes());
    products
}

fn text(products: Products) -> String {
    let Products { one, many } = products;
    let one = format!("one {} {} {}", one.level.name(), one.split, one.tiles);
    format!("{one}\nmany {} {} {}\n", many.level.name(), many.groups, many.quads)
}

/// Only what could have been chosen here is taken.
fn parse(text: &str) -> Option<Products> {
    let mut lines = text.lines();
    let mut row = |name: &str| {
        let mut words = lines.next()?.split(' ');
        (words.next()? == name).then_some(())?;
        let level = Level::from_name(words.next()?)?;
        let numbers = (words.next()?.parse::<u32>().ok()?, words.next()?.parse::<u32>().ok()?);
        words.next().is_none().then_some((level, numbers))
    };
    let ((one_level, one), (many_level, many)) = (row("one")?, row("many")?);
    let (ones, manys) = candidates();
    let one = ones.into_iter().find(|c| c.level == one_level && (c.split, c.tiles) == one)?;
    let many = manys.into_iter().find(|c| c.level == many_level && (c.groups, c.quads) == many)?;
    lines.next().is_none().then_some(Products { one, many })
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
    let mut state = chain(gpu.with_products(products)).await?;
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
async fn chain(gpu: Arc<Gpu>) -> Result<Box<dyn State>> {
    let plan = Arc::new(plan());
    let mut loader = gpu.loader(plan.clone(), Precision::Fast)?;
    for (i, weight) in plan.weights.iter().enumerate() {
        loader.rows(WeightId(i as u32), 0, &vec![0x11; weight.rows * weight.row_bytes()])?;
    }
    let options = StateOptions { n_ctx: ROWS, max_batch: ROWS, max_outputs: 1, kv: KvType::F16 };
    loader.finish().await?.state(&options)
}

fn plan() -> Plan {
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
    body.extend((0..PRODUCTS as u16).map(|i| product(1, i % 2, 1 - i % 2)));
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
    fn what_is_kept_is_read() {
        let (ones, manys) = candidates();
        for &one in &ones {
            for &many in &manys {
                let products = Products { one, many };
                assert_eq!(parse(&text(products)), Some(products));
            }
        }
    }

    #[test]
    fn what_could_not_be_chosen_is_ignored() {
        let good = text(Products::new(16, 1, 16));
        assert!(parse(&good).is_some());
        for end in 0..good.len() - 1 {
            assert_eq!(parse(&good[..end]), None, "{:?}", &good[..end]);
        }
        for (from, to) in [("16", "17"), ("16", "4294967296"), ("base", "best"), ("one", "two"), ("\nmany", "\n\nmany")]
        {
            assert_eq!(parse(&good.replace(from, to)), None, "{from} -> {to}");
        }
        assert_eq!(parse(&(good + "more")), None);
    }

    #[test]
    fn candidates_are_distinct_and_begin_with_the_plainest() {
        let (ones, manys) = candidates();
        assert!(ones.iter().enumerate().all(|(i, one)| !ones[..i].contains(one)));
        assert!(manys.iter().enumerate().all(|(i, many)| !manys[..i].contains(many)));
        assert_eq!(Products { one: ones[0], many: manys[0] }, Products::new(16, 1, 16));
    }
}

//! Op cases: data in tests/cases/*.toml, run on any device through its public traits.
//!
//! A case becomes a tiny plan around one op: an F32 embedding table feeds random rows in, and the plan's `logits` are the
//! op's output. So a device needs no test interface. The answer is compared with an f64 reference over decoded weights.
//!
//! `run_some(&device, precision, cases)` runs them, or those that the environment variable `OPS` names, e.g.
//! `OPS="cols=256 n=5" cargo test -p gabion-tests --test ops`. In a browser use `cases` and `run_case_async`.

mod build;
mod case;
mod data;
mod recurrent;
mod reference;
mod stacks;

use std::cell::LazyCell;
use std::sync::Arc;

use gabion::Result;
use gabion::device::{Batch, CancelFlag, Device, Loader, Outputs, Precision, StateOptions, Texts, Weights};
use gabion::gguf::Mapped;
use gabion::graph::{Plan, WeightId};
use gabion::quant::SUPPORTED;

pub use build::{Built, build};
pub use case::{Case, Tolerance, cases, parse};

/// How an answer compares with the reference.
#[derive(Clone, Debug)]
pub struct Report {
    /// Largest error in units of what the tolerance allows; above 1 fails.
    pub worst: f64,
    /// Mean squared error in units of `Built::scale` squared.
    pub nmse: f64,
    /// Index of the worst element.
    pub at: usize,
    /// Whether the answer is good enough.
    pub passed: bool,
}

/// Compares element by element (abs * scale + rel * |expected|) and as a whole. NaN and a wrong length fail.
pub fn compare(got: &[f32], built: &Built, tolerance: &Tolerance) -> Report {
    let (mut worst, mut at, mut squares) = (0.0, 0, 0.0);
    for (i, (&got, &expected)) in got.iter().zip(&built.expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        let share = error / (tolerance.abs * built.scale + tolerance.rel * expected.abs());
        squares += error * error;
        if share.is_nan() || share > worst {
            (worst, at) = (if share.is_nan() { f64::INFINITY } else { share }, i);
        }
    }
    let nmse = squares / (built.scale * built.scale * built.expected.len() as f64);
    let passed = got.len() == built.expected.len() && worst <= 1.0 && nmse <= tolerance.nmse;
    Report { worst, nmse, at, passed }
}

/// `$STEP`, or `usual`: how many cases apart those are that run where all of them take too long.
pub fn step(usual: usize) -> usize {
    std::env::var("STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(usual)
}

/// Every `step`-th case whose name contains `filter`. The type varies fastest, and `step` divides not the number of types: all of
/// them come, in different shapes.
pub fn some_cases(filter: &str, step: usize) -> Vec<Case> {
    assert!(step == 1 || !SUPPORTED.len().is_multiple_of(step), "every {step}th case leaves types out");
    cases(filter).into_iter().step_by(step).collect()
}

/// Runs these cases, of which the name contains `$OPS` (all, if it is not set), and panics with the list of failures. Tells their
/// worst error.
pub fn run_some(device: &Arc<dyn Device>, precision: Precision, cases: Vec<Case>) {
    run_on(&[(device.clone(), precision)], cases);
}

/// The same on several devices: the reference, which takes most of the time, answers each case once.
pub fn run_on(subjects: &[(Arc<dyn Device>, Precision)], cases: Vec<Case>) {
    let filter = std::env::var("OPS").unwrap_or_default();
    let names = subjects.iter().map(|(device, precision)| format!("{}, {precision:?}", device.info().name));
    let mut results: Vec<_> = names.map(|name| (name, 0, 0f64)).collect();
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| case.name.contains(&filter)) {
        let built = LazyCell::new(|| build::build(case));
        for ((device, precision), (name, count, worst)) in subjects.iter().zip(&mut results) {
            *count += 1;
            match pollster::block_on(report(device.clone(), case, &built, *precision)) {
                Ok(report) if report.passed => *worst = worst.max(report.nmse),
                Ok(report) => failures.push(format!("{name}: {}: {report:?}", case.name)),
                Err(error) => failures.push(format!("{name}: {}: {error}", case.name)),
            }
        }
    }
    assert!(failures.is_empty(), "{} failed of {results:?}:\n{}", failures.len(), failures.join("\n"));
    results.iter().for_each(|(name, count, worst)| eprintln!("{name}: {count} cases, worst NMSE {worst:.1e}"));
}

/// Runs a case on a device, waiting for it.
pub fn run_case(device: Arc<dyn Device>, case: &Case, precision: Precision) -> Result<Report> {
    pollster::block_on(run_case_async(device, case, precision))
}

/// Runs a case on a device.
pub async fn run_case_async(device: Arc<dyn Device>, case: &Case, precision: Precision) -> Result<Report> {
    report(device, case, &build::build(case), precision).await
}

async fn report(device: Arc<dyn Device>, case: &Case, built: &Built, precision: Precision) -> Result<Report> {
    let got = run(device, built, precision, case.seed).await?;
    Ok(compare(&got, built, case.tolerance(precision)))
}

/// Runs a built case; the logits of all its batches, one after another.
pub async fn run(device: Arc<dyn Device>, built: &Built, precision: Precision, seed: u64) -> Result<Vec<f32>> {
    let plan = Arc::new(built.plan.clone());
    let mut loader = device.loader(plan.clone(), precision)?;
    load(&mut *loader, &plan, &built.data, seed.is_multiple_of(2))?;
    let weights: Arc<dyn Weights> = loader.finish().await?;
    let longest = built.batches.iter().map(Vec::len).max().unwrap_or(1);
    let options = StateOptions { n_ctx: built.n_ctx, max_batch: longest, max_outputs: longest, kv: built.kv };
    let mut state = weights.state(&options)?;
    let (mut all, mut pos) = (Vec::new(), built.first_pos);
    for tokens in &built.batches {
        let batch =
            Batch { tokens, pos, outputs: Outputs::All, texts: Texts { ends: &built.ends, types: &built.types } };
        let mut logits = Vec::new();
        state.run(batch, &CancelFlag::default(), &mut logits).await?;
        all.extend(logits);
        pos += tokens.len();
    }
    Ok(all)
}

/// Gives the weights in order: from one mapped file where the device takes that, deliberately at odd offsets, else (and if
/// not `map`) in two pieces.
fn load(loader: &mut dyn Loader, plan: &Plan, data: &[Vec<u8>], map: bool) -> Result<()> {
    let mut file = vec![0u8];
    data.iter().for_each(|bytes| file.extend(bytes));
    let file = Mapped(Arc::new(file));
    let mut offset = 1;
    for (i, weight) in plan.weights.iter().enumerate() {
        let id = WeightId(i as u32);
        if !map || !loader.adopt(id, &file, offset)? {
            let half = weight.rows / 2;
            let (a, b) = data[i].split_at(half * weight.row_bytes());
            if half > 0 {
                loader.rows(id, 0, a)?;
            }
            loader.rows(id, half, b)?;
        }
        offset += data[i].len();
    }
    Ok(())
}

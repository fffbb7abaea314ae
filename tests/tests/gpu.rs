//! The GPU device on a software adapter (lavapipe): op cases at several limits, and what happens when things go wrong.
//! Which adapter, and what if there is none: `gabion_tests::devices::gpu`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gabion::device::cpu;
use gabion::device::gpu::{Gpu, GpuOptions, Level};
use gabion::device::{Batch, CancelFlag, Device, KvType, Outputs, Precision, State, StateOptions, Texts, Weights};
use gabion::graph::WeightId;
use gabion::quant::SUPPORTED;
use gabion::{Error, ModelOptions, Result, Runtime, SessionOptions};
use gabion_tests::devices::{self, gpu, gpu_at};
use gabion_tests::golden::nmse;
use gabion_tests::{ops, toy};

/// Kernels add in other orders than the reference.
const ROUNDING: f64 = 1e-9;

/// Each third case, for each costs a compilation; `STEP=1` runs all.
#[test]
fn op_cases() {
    let Some(gpu) = gpu_at(Level::Base, GpuOptions::default()) else { return };
    let device: Arc<dyn Device> = gpu;
    ops::run_some(&device, Precision::Exact, ops::some_cases("", ops::step(3)));
}

/// The products, which alone differ, at every other level: each 23rd case; those of a few types also in hardware's
/// shapes.
mod levels {
    use super::*;

    fn op_cases(level: Level) {
        for hardware_shapes in [false, true] {
            let Some(gpu) = gpu_at(level, GpuOptions { hardware_shapes, ..Default::default() }) else { return };
            let device: Arc<dyn Device> = gpu;
            let mut cases = cases_at(level);
            let few = |case: &ops::Case| ["Q4_K", "Q8_0", "F16"].iter().any(|ty| case.name.contains(ty));
            cases.retain(|case| !hardware_shapes || case.name.contains("cols=256") && few(case));
            if hardware_shapes {
                cases.extend(allowed_at(level, few_rows::shapes()));
                few_rows::any_cut(&device, level);
            }
            ops::run_some(&device, Precision::Fast, cases);
        }
    }

    #[test]
    fn subgroup() {
        op_cases(Level::Subgroup);
    }

    #[test]
    fn texel() {
        op_cases(Level::Texel);
    }

    #[test]
    fn int8() {
        op_cases(Level::Int8);
    }

    #[test]
    fn f16() {
        op_cases(Level::F16);
    }

    #[test]
    fn matrix() {
        op_cases(Level::Matrix);
    }
}

/// Products of two to eight rows, for which hardware's shapes split the columns between slices.
mod few_rows {
    use super::*;

    /// Batches of 33 rows: few, one and many.
    const BATCHES: [usize; 7] = [2, 3, 4, 5, 8, 1, 10];
    /// Rows of the first five.
    const FEW: usize = 22;
    /// Matrix rows of the case.
    const ROWS: usize = 37;

    /// Whether a case is one.
    pub(super) fn is_one(case: &ops::Case) -> bool {
        case.name.contains("mat_mul") && (2..=8).any(|n| case.name.contains(&format!(" n={n} ")))
    }

    /// Every type for one quad of rows, or some for two: these kernels are compiled for seconds each.
    pub(super) fn of_all_types() -> impl Iterator<Item = ops::Case> {
        let [one, two] = [3, 5].map(|n| ops::cases(&format!("mat_mul cols=768 n={n} rows=[37]")));
        assert_eq!(one.len(), SUPPORTED.len());
        one.into_iter().zip(two).enumerate().map(|(i, (one, two))| if i % 4 == 0 { two } else { one })
    }

    /// Biases of several matrices, residuals, columns that are no whole units, and more rows than any tile.
    pub(super) fn shapes() -> Vec<ops::Case> {
        let names = [
            "bias=true cols=256 n=4 rows=[48, 16, 17] ty=Q8_0",
            "n=6 rows=[33] ty=Q8_0",
            "cols=333 n=5 rows=[19] ty=F16",
            "n=8 rows=[1000] ty=Q4_K",
        ];
        names.iter().flat_map(|name| ops::cases(name)).collect()
    }

    /// Every number of rows in one state, of a device in hardware's shapes.
    pub(super) fn any_cut(device: &Arc<dyn Device>, level: Level) {
        let mut cases = allowed_at(level, ops::cases("cols=768 n=33 rows=[37] ty=Q8_0"));
        let case = cases.remove(0);
        let mut built = ops::build(&case);
        let answer =
            |built: &ops::Built| pollster::block_on(ops::run(device.clone(), built, Precision::Fast, 0)).unwrap();
        let passed = |answer: &[f32], built: &ops::Built| ops::compare(answer, built, &case.fast).passed;
        let many = answer(&built);
        let mut rest = built.batches.remove(0);
        built.batches = BATCHES.iter().map(|&n| rest.drain(..n).collect()).collect();
        let good = answer(&built);
        assert!(passed(&many, &built) && passed(&good, &built), "{level:?}");
        assert_ne!(good[..FEW * ROWS], many[..FEW * ROWS], "{level:?}: the sums have another order");
        assert_eq!(good[(FEW + 1) * ROWS..], many[(FEW + 1) * ROWS..], "{level:?}: these have the same");
        for row in 0..FEW {
            let mut bad = good.clone();
            bad[ROWS * row + row] += 0.2 * built.scale as f32;
            assert!(!passed(&bad, &built), "{level:?}: row {row} is wrong");
        }
        let block = built.plan.weights[1].ty.block_bytes();
        built.data[1].rotate_left(block);
        assert!(!passed(&answer(&built), &built), "{level:?}: the weights are others");
    }

    /// Tokens appended a few at a time give the reference's logits, and each time the same bits; so do the scores of a short text,
    /// for which the head has few rows, too.
    #[test]
    fn appended_to_a_context() {
        let Some(gpu) = gpu(GpuOptions { hardware_shapes: true, ..Default::default() }) else { return };
        let (cpu, gpu) = (devices::cpu(cpu::Level::Reference, Some(2)), Runtime::from_device(gpu));
        let load = |runtime| toy::llama().load(runtime, &ModelOptions { exact: true, ..Default::default() }).unwrap();
        let [mut reference, mut first, mut second] =
            [&cpu, &gpu, &gpu].map(|runtime| load(runtime).session(&SessionOptions::default()).unwrap());
        let tokens: Vec<u32> = (0..35).map(|i| (i * 37 + i * i % 11) % 250).collect();
        let mut end = 0;
        for group in 2..=8 {
            end += group;
            let [wanted, got, again] = [&mut reference, &mut first, &mut second].map(|session| {
                session.sync(&tokens[..end]).unwrap();
                session.logits().to_vec()
            });
            assert!(nmse(&wanted, &got) < ROUNDING, "{end} tokens: {:.1e}", nmse(&wanted, &got));
            assert_eq!(got, again);
        }
        let [wanted, got] = [&mut reference, &mut first].map(|session| session.score(&tokens[..6]).unwrap());
        assert!(nmse(&wanted, &got) < ROUNDING, "scores: {:.1e}", nmse(&wanted, &got));
        let other = reference.score(&tokens[1..7]).unwrap();
        assert!(nmse(&other, &got) > ROUNDING, "other tokens have other scores");
    }
}

/// Some cases of products, with what a level allows at `Precision::Fast`.
fn cases_at(level: Level) -> Vec<ops::Case> {
    let cases = ops::some_cases("mat_mul", ops::step(23));
    assert!(SUPPORTED.iter().all(|ty| cases.iter().any(|case| case.name.ends_with(&format!("ty={}", ty.name())))));
    allowed_at(level, cases)
}

/// The same cases with what a level allows at `Precision::Fast`.
fn allowed_at(level: Level, cases: Vec<ops::Case>) -> Vec<ops::Case> {
    cases.into_iter().map(|case| case.at_level(level)).collect()
}

/// `Precision::Exact` keeps to f32, whatever the level.
#[test]
fn exact_is_exact_at_every_level() {
    for &level in Level::ALL {
        let Some(gpu) = gpu_at(level, GpuOptions::default()) else { continue };
        assert!(gpu.levels(Precision::Exact).iter().all(|level| level.is_exact()));
        let device: Arc<dyn Device> = gpu;
        let some = ops::cases("mat_mul")
            .into_iter()
            .filter(|case| case.name.contains("Q4_K") && case.name.contains("cols=256 n=9 "))
            .collect();
        ops::run_some(&device, Precision::Exact, some);
    }
}

/// As hardware runs them, with nothing but what every adapter has: some of the cases, for each invocation of a wide workgroup costs.
#[test]
fn op_cases_in_hardware_shapes_at_default_limits() {
    let options = GpuOptions { default_limits: true, hardware_shapes: true, ..Default::default() };
    let Some(gpu) = gpu_at(Level::Base, options) else { return };
    let device: Arc<dyn Device> = gpu;
    let mut cases = ops::some_cases("", 11);
    cases.retain(|case| !few_rows::is_one(case));
    cases.extend(few_rows::of_all_types());
    cases.extend(few_rows::shapes());
    ops::run_some(&device, Precision::Exact, cases);
    few_rows::any_cut(&device, Level::Base);
}

/// What was chosen by timing is kept, taken again, and worth nothing when damaged; no folder is no harm.
#[test]
fn a_measured_choice_is_kept() {
    let folder = std::env::temp_dir().join(format!("gabion-tune-{}", std::process::id()));
    let open = |folder: &std::path::Path| {
        gpu(GpuOptions { tune: Some(true), cache_folder: Some(folder.into()), ..Default::default() })
    };
    let Some(first) = open(&folder) else { return };
    let file = file_in(&folder, "products");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\none ") && text.contains(&first.info().name), "{text}");
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a line").to_owned();
    let chosen = text.replace(&line("one"), "one int8 16 1").replace(&line("many"), "many base 16 2");
    let (sum, content) = (text.lines().nth(1).expect("a checksum"), chosen.splitn(3, '\n').nth(2).unwrap());
    std::fs::write(&file, chosen.replace(sum, &checksum(content))).unwrap();
    assert_eq!(open(&folder).unwrap().levels(Precision::Fast), [Level::Int8, Level::Base]);
    std::fs::write(&file, "one int8 16 1\nmany base 16 2\n").unwrap();
    open(&folder).unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().starts_with(text.lines().next().unwrap()), "it is written anew");
    std::fs::write(&file, chosen).unwrap();
    open(&folder).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let parts: Vec<&str> = text.splitn(3, '\n').collect();
    assert_eq!(parts[1], checksum(parts[2]), "the checksum was another's");
    open(&file.join("below a file")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

/// FNV-1a, as the files have it.
fn checksum(text: &str) -> String {
    let step = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

fn file_in(folder: &Path, name: &str) -> PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.to_string_lossy().contains(name)).expect("a file")
}

/// What the driver compiled is kept; whatever became of the file, the same comes out, and the file is sound again.
#[test]
fn compiled_pipelines_are_kept() {
    let folder = std::env::temp_dir().join(format!("gabion-pipelines-{}", std::process::id()));
    let answer = |folder: &Path| {
        let gpu = gpu(GpuOptions { cache_folder: Some(folder.into()), ..Default::default() })?;
        let mut state = loaded(&gpu, &attention_case()).unwrap().state(&options(64)).unwrap();
        Some(run(&mut *state, &CancelFlag::default()).unwrap())
    };
    let Some(good) = answer(&folder) else { return };
    let file = file_in(&folder, "pipelines");
    let kept = std::fs::read(&file).unwrap();
    assert!(kept.starts_with(b"gabion "));
    let content = kept.len() - kept.iter().rposition(|&byte| byte == b'\n').unwrap();
    assert!(content > 32, "the driver gives more than a header's beginning");
    assert_eq!(answer(&folder).unwrap(), good);
    let mut flipped = kept.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&b""[..], &kept[..kept.len() / 2], &flipped] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(answer(&folder).unwrap(), good);
        assert_eq!(std::fs::read(&file).unwrap().len(), kept.len(), "it is written anew");
    }
    assert_eq!(answer(&file.join("below a file")).unwrap(), good);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Buffers so small that most matrices are split by rows.
#[test]
fn split_tensors() {
    let Some(gpu) = gpu(GpuOptions { max_buffer_bytes: Some(100_000), ..Default::default() }) else { return };
    let device: Arc<dyn Device> = gpu;
    for name in ["embed", "rows=[100]", "rows=[1000]", "rows=[48, 16, 17]", "experts=130"] {
        for case in ops::cases(name) {
            let report = ops::run_case(device.clone(), &case, Precision::Exact).unwrap();
            assert!(report.passed, "{}: {report:?}", case.name);
        }
    }
}

/// Some small model, loaded, and its batches.
fn loaded(gpu: &Arc<Gpu>, built: &ops::Built) -> Result<Arc<dyn Weights>> {
    let plan = Arc::new(built.plan.clone());
    let mut loader = gpu.clone().loader(plan, Precision::Exact)?;
    for (i, bytes) in built.data.iter().enumerate() {
        loader.rows(WeightId(i as u32), 0, bytes)?;
    }
    pollster::block_on(loader.finish())
}

fn options(n_ctx: usize) -> StateOptions {
    StateOptions { n_ctx, max_batch: 512, max_outputs: 1, kv: KvType::F32 }
}

fn run(state: &mut dyn State, cancel: &CancelFlag) -> Result<Vec<f32>> {
    let mut logits = Vec::new();
    let batch = Batch { tokens: &[0, 0, 0], pos: 0, outputs: Outputs::Last, texts: Texts::default() };
    pollster::block_on(state.run(batch, cancel, &mut logits)).map(|()| logits)
}

fn attention_case() -> ops::Built {
    ops::build(ops::cases("attention").first().expect("there is one"))
}

#[test]
fn a_lost_device_is_an_error_for_good() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    let built = attention_case();
    let weights = loaded(&gpu, &built).unwrap();
    let mut state = weights.clone().state(&options(64)).unwrap();
    run(&mut *state, &CancelFlag::default()).unwrap();
    gpu.wgpu_device().destroy();
    for _ in 0..2 {
        assert!(matches!(run(&mut *state, &CancelFlag::default()), Err(Error::DeviceLost(_))));
    }
    assert!(matches!(weights.state(&options(64)).err(), Some(Error::DeviceLost(_))));
    assert!(matches!(loaded(&gpu, &built).err(), Some(Error::DeviceLost(_))));
}

#[test]
fn too_large_a_context_is_out_of_memory() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    let weights = loaded(&gpu, &attention_case()).unwrap();
    match weights.clone().state(&options(1 << 31)).err() {
        Some(Error::OutOfMemory { bytes, .. }) => assert!(bytes > 128 << 20, "{bytes}"),
        other => panic!("{other:?}"),
    }
    let mut state = weights.state(&options(64)).unwrap();
    run(&mut *state, &CancelFlag::default()).unwrap();
}

#[test]
fn cancelled_and_wrong_calls_leave_the_state_usable() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    let weights = loaded(&gpu, &attention_case()).unwrap();
    let mut state = weights.state(&options(64)).unwrap();
    let good = run(&mut *state, &CancelFlag::default()).unwrap();
    let cancel = CancelFlag::default();
    cancel.cancel();
    assert!(matches!(run(&mut *state, &cancel), Err(Error::Cancelled)));
    let mut logits = Vec::new();
    for (tokens, pos) in [(vec![], 0), (vec![u32::MAX], 0), (vec![0; 65], 0), (vec![0], 64), (vec![0], usize::MAX)] {
        let batch = Batch { tokens: &tokens, pos, outputs: Outputs::Last, texts: Texts::default() };
        assert!(pollster::block_on(state.run(batch, &CancelFlag::default(), &mut logits)).is_err());
    }
    assert_eq!(run(&mut *state, &CancelFlag::default()).unwrap(), good);
}

/// Submits are cut by measured time; the answer must not depend on where.
#[test]
fn the_same_prompt_gives_the_same_bits() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    let case =
        ops::cases("attention").into_iter().find(|case| case.name.contains("128, 128, 64")).expect("there is one");
    let built = ops::build(&case);
    let mut state = loaded(&gpu, &built).unwrap().state(&options(built.n_ctx)).unwrap();
    let mut answer = || {
        let mut logits = Vec::new();
        let batch = Batch { tokens: &built.batches[0], pos: 0, outputs: Outputs::Last, texts: Texts::default() };
        pollster::block_on(state.run(batch, &CancelFlag::default(), &mut logits)).unwrap();
        logits.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let first = answer();
    for _ in 0..4 {
        assert_eq!(answer(), first);
    }
}

#[test]
fn an_abandoned_load_harms_nobody() {
    let Some(gpu) = gpu(GpuOptions::default()) else { return };
    let built = attention_case();
    let mut loader = gpu.clone().loader(Arc::new(built.plan.clone()), Precision::Exact).unwrap();
    loader.rows(WeightId(0), 0, &built.data[0]).unwrap();
    drop(loader);
    let loader = gpu.clone().loader(Arc::new(built.plan.clone()), Precision::Exact).unwrap();
    assert!(pollster::block_on(loader.finish()).is_err(), "nothing was loaded");
    let mut state = loaded(&gpu, &built).unwrap().state(&options(64)).unwrap();
    run(&mut *state, &CancelFlag::default()).unwrap();
}

#[test]
fn an_unknown_adapter_is_an_error_that_names_the_others() {
    let wanted = GpuOptions { name_filter: Some("no such adapter".into()), allow_software: true, ..Default::default() };
    let error = pollster::block_on(Gpu::with_options(&wanted)).err().expect("there is no such adapter");
    assert!(matches!(&error, Error::Device(text) if text.contains("no such adapter")), "{error}");
}

/// A token's launches must not creep up: at most eight a layer, ten where blocks end in norms of their own, and four around
/// the layers.
#[test]
fn a_token_takes_few_launches() {
    for (toy, layers, each) in [(toy::llama(), 2, 8), (toy::gemma3(), 3, 10)] {
        for (&level, hardware_shapes) in Level::ALL.iter().flat_map(|level| [(level, false), (level, true)]) {
            let Some(gpu) = gpu_at(level, GpuOptions { hardware_shapes, ..Default::default() }) else { continue };
            let model = toy.load(&Runtime::from_device(gpu), &ModelOptions::default()).unwrap();
            let launches = model.session(&SessionOptions::default()).unwrap().launches();
            assert!(launches > layers && launches <= each * layers + 4, "{launches} at level {}", level.name());
        }
    }
}

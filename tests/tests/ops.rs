//! Runs the op cases on every level of the CPU device, and shows that the comparison can fail.

use std::sync::Arc;

use gabion::device::cpu::{Cpu, Level};
use gabion::device::{Device, Precision};
use gabion::graph::{AttentionPlan, Op, Plan, WeightId};
use gabion_tests::devices;
use gabion_tests::ops::{self, Tolerance};

/// `$STEP=n` takes every n-th case: in an emulator, all take ten minutes.
/// (The number of threads changes no result: see the next test.)
#[test]
fn every_level_of_the_cpu() {
    let subject = |level, threads, p| (Cpu::new(Some(threads), level).unwrap() as Arc<dyn Device>, p);
    let both = |level| [subject(level, 1, Precision::Exact), subject(level, 3, Precision::Fast)];
    let subjects: Vec<_> = devices::levels().flat_map(both).collect();
    ops::run_on(&subjects, ops::some_cases("", ops::step(1)));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for case in ops::cases("n=7").iter().chain(&ops::cases("attention")) {
        let built = ops::build(case);
        for level in devices::levels() {
            let answer = |threads| {
                let device = Cpu::new(Some(threads), level).unwrap();
                pollster::block_on(ops::run(device, &built, Precision::Fast, 0)).unwrap()
            };
            let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(answer(1)), bits(answer(4)), "{} {}", level.name(), case.name);
        }
    }
}

/// A comparison that cannot fail proves nothing.
#[test]
fn a_wrong_answer_fails() {
    for case in ops::cases("").iter().step_by(7) {
        let built = ops::build(case);
        let device = Cpu::new(Some(1), Level::Reference).unwrap();
        let good = pollster::block_on(ops::run(device, &built, Precision::Exact, 0)).unwrap();
        let check = |answer: &[f32], tolerance: &Tolerance| ops::compare(answer, &built, tolerance).passed;
        assert!(check(&good, &case.exact), "{}", case.name);
        let scale = built.scale as f32;
        for (i, wrong) in [(0, f32::NAN), (good.len() / 2, f32::INFINITY), (good.len() - 1, -1.0)] {
            let mut bad = good.clone();
            bad[i] = if wrong < 0.0 { bad[i] + 0.2 * (bad[i].abs() + scale) } else { wrong };
            assert!(!check(&bad, &case.exact) && !check(&bad, &case.fast), "{}: {wrong} at {i}", case.name);
        }
        assert!(!check(&good[1..], &case.fast), "{}: one element less", case.name);
    }
}

/// Whether a weight changes only what is kept for an attention that the case does without.
fn only_stored(plan: &Plan, weight: usize) -> bool {
    let normed = |layer: &AttentionPlan| layer.k_norm == Some(WeightId(weight as u32));
    plan.layers.iter().any(normed) && !plan.body.iter().any(|op| matches!(op, Op::Attention { .. }))
}

/// A perturbed input must give an answer that fails: the op's output depends on what the case says it does.
#[test]
fn a_perturbed_weight_fails() {
    let device: Arc<dyn Device> = Cpu::new(Some(1), Level::Reference).unwrap();
    for case in ops::cases("").iter().step_by(5) {
        for weight in 0..ops::build(case).data.len().min(2) {
            let mut built = ops::build(case);
            let block = built.plan.weights[weight].ty.block_bytes();
            if built.data[weight].len() <= block || only_stored(&built.plan, weight) {
                continue;
            }
            built.data[weight].rotate_left(block);
            let got = pollster::block_on(ops::run(device.clone(), &built, Precision::Exact, 1)).unwrap();
            let report = ops::compare(&got, &built, &case.exact);
            assert!(!report.passed, "{}, weight {weight}: {report:?}", case.name);
        }
    }
}

//! The fuzz targets without a fuzzer: inputs that once found something, and seeds, whole and mutated at random.

use std::path::Path;

use gabion::sample::Rng;
use gabion_tests::alloc::Counting;
use gabion_tests::fuzz::{seeds, targets};

#[global_allocator]
static ALLOC: Counting = Counting;

/// Mutated inputs for a seed.
const ROUNDS: u64 = 8;

/// The committed inputs of a target.
fn regressions(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Some bytes changed, removed or doubled.
fn mutated(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + rng.next_u32() % 4 {
        let at = rng.next_u32() as usize % bytes.len().max(1);
        let end = (at + rng.next_u32() as usize % 32).min(bytes.len());
        match rng.next_u32() % 4 {
            0 => drop(bytes.drain(at.min(end)..end)),
            1 => bytes.extend_from_within(at.min(end)..end),
            2 => bytes.truncate(end),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.next_u32() as u8),
        }
    }
    bytes
}

/// How many seeds went all the way, and how many mutated ones.
fn replay(target: impl Fn(&[u8]) -> bool, name: &str, seeds: &[Vec<u8>]) -> (usize, usize) {
    for input in regressions(name) {
        target(&input);
    }
    let whole = seeds.iter().filter(|seed| target(seed)).count();
    let inputs = seeds.iter().enumerate().flat_map(|(i, seed)| {
        let mut rng = Rng::new(i as u64);
        (0..ROUNDS).map(move |_| mutated(seed, &mut rng))
    });
    (whole, inputs.filter(|input| target(input)).count())
}

#[test]
fn header() {
    let (whole, mutated) = replay(targets::header, "header", &seeds::header());

    assert!(whole >= 2 && mutated >= 1, "{whole} seeds and {mutated} mutated ones are models");
}

#[test]
fn tokenizer() {
    let (whole, mutated) = replay(targets::tokenizer, "tokenizer", &seeds::tokenizer());

    assert!(whole >= 1 && mutated >= 1, "{whole} seeds and {mutated} mutated ones are tokenizers");
}

/// A target that finds something says so: here one that allows no memory.
#[test]
fn a_finding_fails() {
    let failing = |_: &[u8]| targets::bounded("self-test", 10, || !std::hint::black_box(vec![1u8; 100]).is_empty());
    assert!(std::panic::catch_unwind(|| replay(failing, "header", &[vec![1]])).is_err());
}

//! Large counts that are true, and the worst cases of time and memory.

use std::time::{Duration, Instant};

use gabion::gguf::GgufError;
use gabion_tests::alloc::peak;
use gabion_tests::hostile::raw::{Raw, array, kind, ty};

use super::{CONSTANT, FACTOR, parse};

const MANY: u64 = 100_000;

fn check(raw: Raw) -> Result<usize, GgufError> {
    let bytes = raw.bytes();
    let start = Instant::now();
    let (used, result) = peak(|| parse(&bytes).map(|header| header.tensors.len()));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?} for {} bytes", start.elapsed(), bytes.len());
    assert!(used <= FACTOR * bytes.len() + CONSTANT, "{used} bytes of memory for {} bytes", bytes.len());
    result
}

#[test]
fn a_hundred_thousand_tensors() {
    let raw = (0..MANY).fold(Raw::new(), |raw, i| raw.tensor(format!("t{i}").as_bytes(), &[8], kind::I8, i * 32));
    assert_eq!(check(raw.data(MANY as usize * 32)).unwrap(), MANY as usize);
}

/// The fewest bytes a record can take: what the memory bound is hardest for.
#[test]
fn a_hundred_thousand_smallest_tensors() {
    let raw = (0..MANY).fold(Raw::new(), |raw, i| raw.tensor(format!("{i:x}").as_bytes(), &[], 4, 0));
    assert_eq!(check(raw).unwrap(), MANY as usize);
}

#[test]
fn a_hundred_thousand_tensors_of_one_name() {
    let raw = (0..MANY).fold(Raw::new(), |raw, _| raw.tensor(b"t", &[], kind::I8, 0));
    assert!(matches!(check(raw), Err(GgufError::Tensor { .. })));
}

#[test]
fn a_hundred_thousand_tensors_in_one_place() {
    let raw = (0..MANY).fold(Raw::new(), |raw, i| raw.tensor(format!("{i:x}").as_bytes(), &[], kind::I8, 0));
    assert!(matches!(check(raw.data(32)), Err(GgufError::Tensor { .. })));
}

#[test]
fn a_hundred_thousand_smallest_keys() {
    let raw = (0..MANY).fold(Raw::new(), |raw, i| raw.kv(format!("{i:x}").as_bytes(), ty::U8, &[1]));
    assert_eq!(check(raw).unwrap(), 0);
}

#[test]
fn a_million_empty_strings() {
    let raw = Raw::new().kv(b"l", ty::ARRAY, &[array(ty::STRING, 1 << 20), vec![0; 8 << 20]].concat());
    let bytes = raw.bytes();
    let (used, n) = peak(|| parse(&bytes).unwrap().strings("l").unwrap().unwrap().count());
    assert_eq!(n, 1 << 20);
    assert!(used <= FACTOR * bytes.len() + CONSTANT, "{used}");
}

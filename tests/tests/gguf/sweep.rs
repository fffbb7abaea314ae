//! Every truncation and every changed byte of a small file.

use gabion::gguf::{Header, Owned, Parse, Writer};
use gabion::quant::TensorType;
use gabion_tests::alloc::peak;

use super::{CONSTANT, FACTOR, parse};

/// A file with every value type, several tensors, and nothing after its last tensor.
fn sample() -> Vec<u8> {
    let file = Writer::new()
        .key("general.architecture", Owned::String("none".into()))
        .key("general.alignment", Owned::U32(64))
        .key("u8", Owned::U8(200))
        .key("i8", Owned::I8(-3))
        .key("u16", Owned::U16(60000))
        .key("i16", Owned::I16(-5))
        .key("i32", Owned::I32(-7))
        .key("u64", Owned::U64(u64::MAX))
        .key("i64", Owned::I64(i64::MIN))
        .key("f32", Owned::F32(0.5))
        .key("f64", Owned::F64(1e300))
        .key("bool", Owned::Bool(true))
        .key("words", Owned::Strings(vec!["a".into(), "bc".into(), String::new()]))
        .key("ids", Owned::I32s(vec![1, -2, 3]))
        .key("counts", Owned::U32s(vec![]))
        .tensor("first", TensorType::F32, &[8, 2], vec![1; 64])
        .tensor("second", TensorType::Q4_0, &[64, 3], vec![2; 108])
        .tensor("third", TensorType::I8, &[5], vec![3; 5]);
    let mut bytes = file.to_bytes();
    bytes.truncate(bytes.len() - 59); // the padding after the last tensor
    bytes
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = sample();
    assert!(parse(&bytes).is_ok());
    for len in 0..bytes.len() {
        let limit = FACTOR * len + CONSTANT;
        let (used, result) = peak(|| parse(&bytes[..len]));
        assert!(result.is_err(), "the first {len} of {} bytes were accepted", bytes.len());
        assert!(used <= limit, "{used} bytes of memory at {len}");
    }
}

/// Whatever a byte becomes, the answer is a header or an error, within the same memory. (That neither panics is what
/// running it shows.)
#[test]
fn every_changed_byte_is_survived() {
    let bytes = sample();
    let end = parse(&bytes).unwrap().data_start as usize;
    let limit = FACTOR * bytes.len() + CONSTANT;
    let mut refused = 0;
    for at in 0..end {
        for flip in [0x01, 0x02, 0x10, 0x20, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let (used, result) = peak(|| parse(&changed).map(|header| read_all(&header)));
            assert!(used <= limit, "byte {at} ^ {flip:#x}: {used} bytes");
            refused += usize::from(result.is_err());
        }
    }
    assert!(refused > end, "only {refused} of {} changes were noticed", end * 7);
}

/// Two bytes at once, by chance: reaches combinations such as a count with its type.
#[test]
fn random_damage_is_survived() {
    let bytes = sample();
    let mut rng = gabion::sample::Rng::new(1);
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + rng.next_u32() % 6 {
            let at = rng.next_u32() as usize % damaged.len();
            damaged[at] = rng.next_u32() as u8;
        }
        damaged.truncate(damaged.len() - rng.next_u32() as usize % 3);
        if let Ok(header) = parse(&damaged) {
            read_all(&header);
        }
        if let Ok(Parse::Need(n)) = Header::parse(&damaged[..damaged.len() / 2], None) {
            assert!(n > damaged.len() as u64 / 2);
        }
    }
}

/// Decodes everything a header holds.
fn read_all(header: &Header) -> usize {
    let values = header.entries().map(|(key, value)| match value {
        gabion::gguf::Value::Array(array) => array.iter().count(),
        _ => usize::from(header.get(key).is_some()),
    });
    let tensors = header.tensors.iter().map(|t| t.elements().min(1) as usize + usize::from(t.ty().is_some()));
    values.sum::<usize>() + tensors.sum::<usize>()
}

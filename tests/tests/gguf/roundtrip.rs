//! What the writer writes, the reader reads: random keys, values, types, shapes and data.

use gabion::gguf::{Owned, Value, Writer};
use gabion::quant::TensorType;
use gabion::sample::Rng;

use super::{parse, shown};

const TYPES: [TensorType; 6] =
    [TensorType::F32, TensorType::F16, TensorType::I8, TensorType::Q4_0, TensorType::Q8_0, TensorType::Q6_K];

fn below(rng: &mut Rng, n: u32) -> u32 {
    rng.next_u32() % n
}

fn text(rng: &mut Rng) -> String {
    let letters = ['a', 'é', '\0', '😀', ' ', '\n', '"', 'Z'];
    (0..below(rng, 12)).map(|_| letters[below(rng, 8) as usize]).collect()
}

fn wide(rng: &mut Rng) -> u64 {
    u64::from(rng.next_u32()) << 32 | u64::from(rng.next_u32())
}

fn value(rng: &mut Rng) -> Owned {
    let n = below(rng, 9) as usize;
    match below(rng, 16) {
        0 => Owned::U8(rng.next_u32() as u8),
        1 => Owned::I8(rng.next_u32() as i8),
        2 => Owned::U16(rng.next_u32() as u16),
        3 => Owned::I16(rng.next_u32() as i16),
        4 => Owned::U32(rng.next_u32()),
        5 => Owned::I32(rng.next_u32() as i32),
        6 => Owned::U64(wide(rng)),
        7 => Owned::I64(wide(rng) as i64),
        8 => Owned::F32(f32::from_bits(rng.next_u32())),
        9 => Owned::F64(f64::from_bits(wide(rng))),
        10 => Owned::Bool(below(rng, 2) == 1),
        11 => Owned::String(text(rng)),
        12 => Owned::Strings((0..n).map(|_| text(rng)).collect()),
        13 => Owned::F32s((0..n).map(|_| f32::from_bits(rng.next_u32())).collect()),
        14 => Owned::I32s((0..n).map(|_| rng.next_u32() as i32).collect()),
        _ => Owned::U32s((0..n).map(|_| rng.next_u32()).collect()),
    }
}

/// Bit patterns, so that NaNs compare.
fn equal(read: Value<'_>, written: &Owned) -> bool {
    let list = |want: Vec<Value<'_>>, array: gabion::gguf::Array<'_>| {
        array.len() == want.len() && array.iter().zip(want).all(|(a, b)| format!("{a:?}") == format!("{b:?}"))
    };
    match (read, written) {
        (Value::U8(a), Owned::U8(b)) => a == *b,
        (Value::I8(a), Owned::I8(b)) => a == *b,
        (Value::U16(a), Owned::U16(b)) => a == *b,
        (Value::I16(a), Owned::I16(b)) => a == *b,
        (Value::U32(a), Owned::U32(b)) => a == *b,
        (Value::I32(a), Owned::I32(b)) => a == *b,
        (Value::U64(a), Owned::U64(b)) => a == *b,
        (Value::I64(a), Owned::I64(b)) => a == *b,
        (Value::F32(a), Owned::F32(b)) => a.to_bits() == b.to_bits(),
        (Value::F64(a), Owned::F64(b)) => a.to_bits() == b.to_bits(),
        (Value::Bool(a), Owned::Bool(b)) => a == *b,
        (Value::String(a), Owned::String(b)) => a == b.as_bytes(),
        (Value::Array(a), Owned::Strings(b)) => list(b.iter().map(|s| Value::String(s.as_bytes())).collect(), a),
        (Value::Array(a), Owned::F32s(b)) => list(b.iter().map(|&v| Value::F32(v)).collect(), a),
        (Value::Array(a), Owned::I32s(b)) => list(b.iter().map(|&v| Value::I32(v)).collect(), a),
        (Value::Array(a), Owned::U32s(b)) => list(b.iter().map(|&v| Value::U32(v)).collect(), a),
        _ => false,
    }
}

type Tensor = (String, TensorType, Vec<u64>, Vec<u8>);

fn tensor(rng: &mut Rng, i: usize) -> Tensor {
    let ty = TYPES[below(rng, TYPES.len() as u32) as usize];
    let cols = ty.block_len() as u64 * u64::from(below(rng, 4));
    let rest = (0..below(rng, 4)).map(|_| u64::from(below(rng, 4)));
    let dims: Vec<u64> = [cols].into_iter().chain(rest).collect();
    let bytes = ty.row_bytes(cols as usize) as u64 * dims[1..].iter().product::<u64>();
    (format!("tensor {i}"), ty, dims, (0..bytes).map(|_| rng.next_u32() as u8).collect())
}

fn check(seed: u64) {
    let rng = &mut Rng::new(seed);
    let keys: Vec<(String, Owned)> =
        (0..below(rng, 40)).map(|i| (format!("key.{i}{}", text(rng)), value(rng))).collect();
    let tensors: Vec<Tensor> = (0..below(rng, 12) as usize).map(|i| tensor(rng, i)).collect();
    let alignment = 8u32 << below(rng, 6);
    let file = Writer::new().key("general.alignment", Owned::U32(alignment));
    let file = keys.iter().fold(file, |file, (key, value)| file.key(key, value.clone()));
    let file = tensors.iter().fold(file, |file, (name, ty, dims, data)| file.tensor(name, *ty, dims, data.clone()));
    let bytes = file.to_bytes();
    let header = parse(&bytes).unwrap();
    assert_eq!(header.alignment, u64::from(alignment));
    assert_eq!(header.entries().count(), keys.len() + 1);
    for ((key, read), (name, written)) in header.entries().skip(1).zip(&keys) {
        assert_eq!(key, name);
        assert!(equal(read, written), "seed {seed}, {key}: {read:?} is not {written:?}");
    }
    assert_eq!(header.tensors.len(), tensors.len());
    for (info, (name, ty, dims, data)) in header.tensors.iter().zip(&tensors) {
        let (start, end) = (info.offset as usize, (info.offset + info.bytes) as usize);
        assert_eq!((&info.name, info.ty(), info.n_dims as usize), (name, Some(*ty), dims.len()));
        assert_eq!(&info.dims[..dims.len()], &dims[..]);
        assert_eq!(&bytes[start..end], &data[..], "seed {seed}, {name}");
    }
}

#[test]
fn random_files_come_back() {
    (0..500).for_each(check);
}

#[test]
fn the_comparison_can_fail() {
    let read = |value: Owned| parse(&Writer::new().key("k", value).to_bytes()).unwrap();
    assert!(!equal(read(Owned::U8(1)).get("k").unwrap(), &Owned::I8(1)));
    assert!(!equal(read(Owned::F32s(vec![1.0, 2.0])).get("k").unwrap(), &Owned::F32s(vec![1.0, 2.5])));
    assert_ne!(shown(&read(Owned::U8(1))), shown(&read(Owned::U8(2))));
}

#[test]
fn the_writer_refuses_a_bad_alignment() {
    assert!(Writer::new().key("general.alignment", Owned::U32(0)).write(&mut Vec::new()).is_err());
}

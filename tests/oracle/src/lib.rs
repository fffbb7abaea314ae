//! Reads GGUF files with gguf-rs, an independent reader, and compares what it sees with gabion's own reader.
//!
//! A crate of its own because gguf-rs turns on `serde_json/arbitrary_precision` for everything built with it. Its known
//! defects are listed in `DEFECTS`; each one met is counted and checked to be still there, so that the list stays true.

use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gabion::gguf::{Header, TensorInfo, Value};
use gguf_rs::{ByteOrder, GGUFContainer, GGUFModel, Tensor};

/// What gguf-rs 0.1.8 gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// Panics on the type id that it takes for the number of types.
    Panics,
    /// Refuses type ids newer than itself.
    Refuses,
    /// Counts blocks of 256 elements (or a wrong block size) for this type.
    Size,
}

/// Tensor types (their names) with their defect.
pub const DEFECTS: &[(&str, Defect)] = &[
    ("NVFP4", Defect::Panics),
    ("Q1_0", Defect::Refuses),
    ("Q2_0", Defect::Refuses),
    ("BF16", Defect::Size),
    ("IQ4_NL", Defect::Size),
    ("MXFP4", Defect::Size),
    ("Q8_1", Defect::Size),
    ("I8", Defect::Size),
    ("I16", Defect::Size),
    ("I32", Defect::Size),
    ("I64", Defect::Size),
    ("F64", Defect::Size),
];

/// The defect a tensor's type meets.
pub fn defect(tensor: &TensorInfo) -> Option<Defect> {
    let name = tensor.ty()?.name();
    DEFECTS.iter().find(|row| row.0 == name).map(|row| row.1)
}

/// gguf-rs's view of a file; a panic in it becomes an error.
pub fn read(path: &Path) -> Result<GGUFModel, String> {
    let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let mut magic = [0; 4]; // its container starts after the magic
    file.read_exact(&mut magic).map_err(|error| error.to_string())?;
    let mut container = GGUFContainer::new(ByteOrder::LE, Box::new(file), u64::MAX);
    let decoded = catch_unwind(AssertUnwindSafe(|| container.decode()));
    decoded.map_err(|_| "it panicked".to_owned())?.map_err(|error| error.to_string())
}

/// Every difference between the two readers, and how many tensors met `Defect::Size`.
pub fn differences(ours: &Header, theirs: &GGUFModel) -> (Vec<String>, usize) {
    let mut found = Vec::new();
    let mut note = |what: String, same: bool| found.extend((!same).then_some(what));
    note(
        format!("version {} is {}", ours.version, theirs.get_version()),
        format!("v{}", ours.version) == theirs.get_version(),
    );
    note(format!("alignment is {}", theirs.alignment()), ours.alignment == theirs.alignment());
    // without tensors there is no data to start anywhere
    let start = ours.tensors.is_empty() || ours.data_start == theirs.data_offset();
    note(format!("data starts at {}", theirs.data_offset()), start);
    note(format!("{} keys", theirs.metadata().len()), ours.entries().count() == theirs.metadata().len());
    for (key, value) in ours.entries() {
        let other = theirs.metadata().get(key);
        note(format!("key {key}: {value:?} is {other:?}"), other.is_some_and(|other| equal(value, other)));
    }
    note(format!("{} tensors", theirs.tensors().len()), ours.tensors.len() == theirs.tensors().len());
    let mut sizes = 0;
    for (a, b) in ours.tensors.iter().zip(theirs.tensors()) {
        let wrong_size = defect(a) == Some(Defect::Size);
        sizes += usize::from(wrong_size);
        note(format!("tensor {a:?} is {b:?}"), same_tensor(a, b, theirs.data_offset()));
        note(format!("size of {a:?} is {b:?}"), (a.bytes == b.size) != wrong_size);
    }
    (found, sizes)
}

fn same_tensor(a: &TensorInfo, b: &Tensor, data_start: u64) -> bool {
    let shape = &a.dims[..a.n_dims as usize];
    (&a.name, a.type_id, shape, a.offset) == (&b.name, b.kind, &b.shape[..], data_start + b.offset)
}

/// Whether a value is the same as gguf-rs's untyped one.
fn equal(ours: Value<'_>, theirs: &serde_json::Value) -> bool {
    let float = |wide: f64, same: &dyn Fn(f64) -> bool| match theirs.as_f64() {
        Some(v) => same(v),
        None => !wide.is_finite() && theirs.is_null(), // JSON has no NaN and no infinity
    };
    match ours {
        Value::F32(v) => float(v.into(), &|other| other as f32 == v),
        Value::F64(v) => float(v, &|other| other == v),
        Value::Bool(v) => theirs.as_bool() == Some(v),
        Value::String(v) => theirs.as_str() == Some(&*String::from_utf8_lossy(v)),
        Value::U64(v) => theirs.as_u64() == Some(v),
        Value::Array(array) => theirs
            .as_array()
            .is_some_and(|other| other.len() == array.len() && array.iter().zip(other).all(|(a, b)| equal(a, b))),
        integer => integer.as_i64().is_some() && integer.as_i64() == theirs.as_i64(),
    }
}

//! A small writer: enough for tests, quantized outputs and session files.

use std::io::{self, Write};

use super::{Header, ValueType};
use crate::quant::TensorType;

/// A metadata value to write.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub enum Owned {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Strings(Vec<String>),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
    U32s(Vec<u32>),
}

/// Collects keys and tensors, then writes a version 3 file.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    kvs: Vec<(String, Owned)>,
    /// How many keys were copied from another file, and their records.
    copied: (u64, Vec<u8>),
    tensors: Vec<Tensor>,
    alignment: Option<u32>,
}

#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    ty: TensorType,
    dims: Vec<u64>,
    bytes: u64,
    /// `None` where the caller brings the data itself.
    data: Option<Vec<u8>>,
}

impl Writer {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    pub fn key(mut self, key: &str, value: Owned) -> Self {
        if let ("general.alignment", Owned::U32(a)) = (key, &value) {
            self.alignment = Some(*a);
        }
        self.kvs.push((key.into(), value));
        self
    }

    /// Copies the alignment and the keys of another file, but those `dropped`.
    pub fn keys_of(mut self, header: &Header, dropped: impl Fn(&str) -> bool) -> Self {
        for (_, record) in header.records().filter(|(key, _)| !dropped(key)) {
            self.copied.0 += 1;
            self.copied.1.extend(record);
        }
        self.alignment = Some(header.alignment as u32);
        self
    }

    /// Adds a tensor with its encoded data; `dims` fastest-varying first.
    pub fn tensor(mut self, name: &str, ty: TensorType, dims: &[u64], data: Vec<u8>) -> Self {
        let (bytes, data) = (data.len() as u64, Some(data));
        self.tensors.push(Tensor { name: name.into(), ty, dims: dims.into(), bytes, data });
        self
    }

    /// Adds a tensor of this type and shape whose data the caller brings itself, behind `head`.
    pub fn shape(mut self, name: &str, ty: TensorType, dims: &[u64]) -> Self {
        let bytes = ty.row_bytes(dims[0] as usize) as u64 * dims[1..].iter().product::<u64>();
        self.tensors.push(Tensor { name: name.into(), ty, dims: dims.into(), bytes, data: None });
        self
    }

    fn align(&self) -> io::Result<u64> {
        let align = u64::from(self.alignment.unwrap_or(32));
        let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("alignment {align} is no power of two"));
        if align.is_power_of_two() { Ok(align) } else { Err(bad()) }
    }

    /// The file up to where its tensors' data starts. The key `general.alignment`, if given, must be a power of two.
    pub fn head(&self) -> io::Result<Vec<u8>> {
        let align = self.align()?;
        let mut head = b"GGUF".to_vec();
        head.extend(3u32.to_le_bytes());
        head.extend((self.tensors.len() as u64).to_le_bytes());
        head.extend((self.copied.0 + self.kvs.len() as u64).to_le_bytes());
        head.extend(&self.copied.1);
        for (key, value) in &self.kvs {
            put_str(&mut head, key);
            put_value(&mut head, value);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            put_str(&mut head, &tensor.name);
            head.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|d| head.extend(d.to_le_bytes()));
            head.extend((tensor.ty as u32).to_le_bytes());
            head.extend(offset.to_le_bytes());
            offset = (offset + tensor.bytes).next_multiple_of(align);
        }
        if !self.tensors.is_empty() {
            head.resize(head.len().next_multiple_of(align as usize), 0);
        }
        Ok(head)
    }

    /// Writes the file. Fails for a bad alignment, and for a tensor without data.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let align = self.align()?;
        out.write_all(&self.head()?)?;
        for tensor in &self.tensors {
            let missing = || io::Error::new(io::ErrorKind::InvalidInput, format!("'{}' has no data", tensor.name));
            out.write_all(tensor.data.as_ref().ok_or_else(missing)?)?;
            out.write_all(&vec![0; (tensor.bytes.next_multiple_of(align) - tensor.bytes) as usize])?;
        }
        Ok(())
    }

    /// The file as bytes. Panics where `write` would fail.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out).expect("writing to memory fails only here only for a bad alignment or missing data");
        out
    }
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Owned) {
    let mut scalar = |ty: ValueType, raw: &[u8]| {
        out.extend((ty as u32).to_le_bytes());
        out.extend(raw);
    };
    match value {
        Owned::U8(v) => scalar(ValueType::U8, &v.to_le_bytes()),
        Owned::I8(v) => scalar(ValueType::I8, &v.to_le_bytes()),
        Owned::U16(v) => scalar(ValueType::U16, &v.to_le_bytes()),
        Owned::I16(v) => scalar(ValueType::I16, &v.to_le_bytes()),
        Owned::U32(v) => scalar(ValueType::U32, &v.to_le_bytes()),
        Owned::I32(v) => scalar(ValueType::I32, &v.to_le_bytes()),
        Owned::U64(v) => scalar(ValueType::U64, &v.to_le_bytes()),
        Owned::I64(v) => scalar(ValueType::I64, &v.to_le_bytes()),
        Owned::F32(v) => scalar(ValueType::F32, &v.to_le_bytes()),
        Owned::F64(v) => scalar(ValueType::F64, &v.to_le_bytes()),
        Owned::Bool(v) => scalar(ValueType::Bool, &[u8::from(*v)]),
        Owned::String(v) => {
            out.extend((ValueType::String as u32).to_le_bytes());
            put_str(out, v);
        }
        Owned::Strings(v) => {
            put_array(out, ValueType::String, v.len());
            v.iter().for_each(|s| put_str(out, s));
        }
        Owned::F32s(v) => put_numbers(out, ValueType::F32, bytemuck::cast_slice(v), v.len()),
        Owned::I32s(v) => put_numbers(out, ValueType::I32, bytemuck::cast_slice(v), v.len()),
        Owned::U32s(v) => put_numbers(out, ValueType::U32, bytemuck::cast_slice(v), v.len()),
    }
}

fn put_array(out: &mut Vec<u8>, element: ValueType, len: usize) {
    out.extend((ValueType::Array as u32).to_le_bytes());
    out.extend((element as u32).to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

/// `raw`: the numbers in memory order, which is the file's on the little-endian machines gabion supports.
fn put_numbers(out: &mut Vec<u8>, element: ValueType, raw: &[u8], len: usize) {
    put_array(out, element, len);
    out.extend(raw);
}

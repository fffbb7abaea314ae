//! Parses a header from as many bytes as are there, and answers questions about it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Array, GgufError, Value, ValueType};
use crate::quant::TensorType;

const DEFAULT_ALIGNMENT: u64 = 32;
/// The format asks for a multiple of 8, so that every element type is aligned.
const MIN_ALIGNMENT: u32 = 8;
const MAX_ALIGNMENT: u32 = 1 << 20;
const MAX_KEY: u64 = 65535;
const MAX_TENSOR_NAME: u64 = 63;
const MAX_STRING: u64 = 1 << 30;
const MAX_ARRAY: u64 = 1 << 30;
/// Smallest encodings: key length, one key byte, type, one value byte; name length, dimension count, type, offset.
const MIN_KV_BYTES: u64 = 8 + 1 + 4 + 1;
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;
/// The largest header that is read: 1 GiB natively, 256 MiB in wasm's 4 GiB address space.
pub(crate) const MAX_HEADER: u64 = if cfg!(target_arch = "wasm32") { 256 << 20 } else { 1 << 30 };

/// One tensor's record.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name, unique over all shards.
    pub name: String,
    /// Its type id in the file; `TensorType::from_id` may not know it, and then the tensor can be listed, not loaded.
    pub type_id: u32,
    /// Dimensions, fastest-varying first: `dims[0]` is the row length. Missing ones are 1.
    pub dims: [u64; 4],
    /// How many dimensions the file gives.
    pub n_dims: u32,
    /// Offset from the start of its file.
    pub offset: u64,
    /// Bytes of its data; 0 where the type is unknown.
    pub bytes: u64,
    /// Which file of a split set holds it.
    pub shard: usize,
}

impl TensorInfo {
    /// Its type, if known.
    pub fn ty(&self) -> Option<TensorType> {
        TensorType::from_id(self.type_id)
    }
    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }
}

/// What parsing a prefix of a file gave.
#[derive(Debug)]
pub enum Parse {
    /// The whole header.
    Done(Header),
    /// At least this many bytes from the start of the file are needed; ask again with more.
    Need(u64),
}

/// A checked GGUF header. Owns a copy of the header's bytes; values borrow from it.
#[derive(Clone, Debug)]
pub struct Header {
    /// Format version, 2 or 3.
    pub version: u32,
    /// Alignment of tensor data.
    pub alignment: u64,
    /// Where tensor data starts in the file.
    pub data_start: u64,
    /// Every tensor, in the order of the file (of the files, when split).
    pub tensors: Vec<TensorInfo>,
    bytes: Arc<[u8]>,
    kvs: Vec<(Range<usize>, Stored)>,
    by_key: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

/// Where a value lies in the header's bytes.
#[derive(Clone, Debug)]
struct Stored {
    ty: ValueType,
    element: ValueType,
    len: usize,
    range: Range<usize>,
}

/// Why parsing stopped before the end.
enum Stop {
    Need(u64),
    Bad(GgufError),
}

impl From<GgufError> for Stop {
    fn from(error: GgufError) -> Self {
        Stop::Bad(error)
    }
}

/// Reads forward through a prefix of a file of `total` bytes (or of unknown length).
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    total: Option<u64>,
}

impl<'a> Cursor<'a> {
    /// Bytes that can still follow: what the file has left, or what a header may have.
    fn remaining(&self) -> u64 {
        self.total.unwrap_or(MAX_HEADER).saturating_sub(self.at as u64)
    }

    fn take(&mut self, n: u64, what: impl FnOnce() -> String) -> Result<&'a [u8], Stop> {
        if n > self.remaining() {
            return Err(
                GgufError::Truncated(format!("{} wants {n} bytes, {} are left", what(), self.remaining())).into()
            );
        }
        let end = self.at as u64 + n;
        if end > MAX_HEADER {
            return Err(GgufError::Limit { what: "header size".into(), value: end, limit: MAX_HEADER }.into());
        }
        if end > self.bytes.len() as u64 {
            return Err(Stop::Need(end));
        }
        let taken = &self.bytes[self.at..end as usize];
        self.at = end as usize;
        Ok(taken)
    }

    fn u32(&mut self, what: &str) -> Result<u32, Stop> {
        let raw = self.take(4, || what.into())?;
        Ok(u32::from_le_bytes(raw.try_into().expect("4 bytes")))
    }

    fn u64(&mut self, what: &str) -> Result<u64, Stop> {
        let raw = self.take(8, || what.into())?;
        Ok(u64::from_le_bytes(raw.try_into().expect("8 bytes")))
    }

    fn string(&mut self, what: &str, limit: u64) -> Result<&'a [u8], Stop> {
        let len = self.u64(what)?;
        if len > limit {
            return Err(GgufError::Limit { what: format!("{what} length"), value: len, limit }.into());
        }
        self.take(len, || what.into())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

fn key_error(key: &[u8], problem: impl Into<String>) -> Stop {
    Stop::Bad(GgufError::Key { key: text(key), problem: problem.into() })
}

impl Header {
    /// Parses the header from a prefix of a file whose length is `total`, if known. With an unknown length tensor
    /// bounds are left to the loader, which reads every byte it uses.
    ///
    /// Memory: proportional to the header's own bytes, whatever counts they claim.
    pub fn parse(bytes: &[u8], total: Option<u64>) -> Result<Parse, GgufError> {
        match Self::try_parse(bytes, total) {
            Ok(header) => Ok(Parse::Done(header)),
            Err(Stop::Need(n)) => Ok(Parse::Need(n)),
            Err(Stop::Bad(error)) => Err(error),
        }
    }

    fn try_parse(bytes: &[u8], total: Option<u64>) -> Result<Self, Stop> {
        let mut cur = Cursor { bytes, at: 0, total };
        let version = preamble(&mut cur)?;
        let n_tensors = cur.u64("tensor count")?;
        let n_kv = cur.u64("key count")?;
        bounded("key count", n_kv, cur.remaining() / MIN_KV_BYTES)?;
        bounded("tensor count", n_tensors, cur.remaining() / MIN_TENSOR_BYTES)?;
        let (kvs, by_key) = read_kvs(&mut cur, n_kv)?;
        let mut header = Header {
            version,
            alignment: DEFAULT_ALIGNMENT,
            data_start: 0,
            tensors: Vec::new(),
            bytes: Arc::from([]),
            kvs,
            by_key,
            by_name: HashMap::new(),
        };
        header.alignment = header.read_alignment(bytes)?;
        for _ in 0..n_tensors {
            header.push_tensor(read_tensor(&mut cur)?)?;
        }
        let end = cur.at as u64;
        header.data_start = if n_tensors == 0 { end } else { end.next_multiple_of(header.alignment) };
        header.place_tensors(total)?;
        header.bytes = Arc::from(&bytes[..cur.at]);
        Ok(header)
    }

    fn read_alignment(&self, bytes: &[u8]) -> Result<u64, Stop> {
        let key = b"general.alignment";
        match self.value_in(bytes, "general.alignment") {
            None => Ok(DEFAULT_ALIGNMENT),
            Some(Value::U32(a)) if a.is_power_of_two() && (MIN_ALIGNMENT..=MAX_ALIGNMENT).contains(&a) => Ok(a.into()),
            Some(Value::U32(a)) => {
                Err(key_error(key, format!("{a} is not a power of two in {MIN_ALIGNMENT}..={MAX_ALIGNMENT}")))
            }
            Some(_) => Err(key_error(key, "is not a u32")),
        }
    }

    fn push_tensor(&mut self, tensor: TensorInfo) -> Result<(), GgufError> {
        if self.by_name.insert(tensor.name.clone(), self.tensors.len()).is_some() {
            return Err(GgufError::Tensor { name: tensor.name, problem: "appears twice".into() });
        }
        self.tensors.push(tensor);
        Ok(())
    }

    /// Turns offsets into file positions; checks alignment, bounds and overlap.
    fn place_tensors(&mut self, total: Option<u64>) -> Result<(), GgufError> {
        let fail = |name: &str, problem: String| GgufError::Tensor { name: name.into(), problem };
        for tensor in &mut self.tensors {
            if tensor.offset % self.alignment != 0 {
                return Err(fail(
                    &tensor.name,
                    format!("offset {} is not aligned to {}", tensor.offset, self.alignment),
                ));
            }
            let start = self.data_start.checked_add(tensor.offset);
            let end = start.and_then(|s| s.checked_add(tensor.bytes)).filter(|&e| e <= i64::MAX as u64);
            let (Some(start), Some(end)) = (start, end) else {
                return Err(fail(&tensor.name, "its end overflows".into()));
            };
            if total.is_some_and(|total| end > total) {
                return Err(fail(&tensor.name, format!("ends at byte {end}, past the end of the file")));
            }
            tensor.offset = start;
        }
        let mut order: Vec<&TensorInfo> = self.tensors.iter().filter(|t| t.bytes > 0).collect();
        order.sort_by_key(|t| t.offset);
        match order.windows(2).find(|pair| pair[0].offset + pair[0].bytes > pair[1].offset) {
            Some(pair) => Err(fail(&pair[1].name, format!("overlaps tensor '{}'", pair[0].name))),
            None => Ok(()),
        }
    }

    fn value_in<'a>(&self, bytes: &'a [u8], key: &str) -> Option<Value<'a>> {
        let (_, stored) = &self.kvs[*self.by_key.get(key)?];
        Some(stored.value(bytes))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        self.value_in(&self.bytes, key)
    }

    /// All keys with their values, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.kvs.iter().map(|(key, stored)| {
            // keys were checked to be UTF-8 when they were read
            (std::str::from_utf8(&self.bytes[key.clone()]).unwrap_or_default(), stored.value(&self.bytes))
        })
    }

    /// All keys with their records, byte for byte as in the file.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.kvs.iter().map(|(key, stored)| {
            let name = std::str::from_utf8(&self.bytes[key.clone()]).unwrap_or_default();
            (name, &self.bytes[key.start - 8..stored.range.end])
        })
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).map(|&i| &self.tensors[i])
    }

    /// Adds the tensors of shard number `shard` to this header (shard 0).
    pub(crate) fn absorb(&mut self, other: Header, shard: usize) -> Result<(), GgufError> {
        for mut tensor in other.tensors {
            tensor.shard = shard;
            self.push_tensor(tensor)?;
        }
        Ok(())
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        want: &str,
        f: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        f(value).map(Some).ok_or_else(|| GgufError::Key { key: key.into(), problem: format!("is not {want}") })
    }

    /// A UTF-8 string.
    pub fn str(&self, key: &str) -> Result<Option<&str>, GgufError> {
        self.typed(key, "a UTF-8 string", Value::as_str)
    }

    /// Any integer that fits u32.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, GgufError> {
        self.typed(key, "a u32", |v| u32::try_from(v.as_i64()?).ok())
    }

    /// Either float type.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, GgufError> {
        self.typed(key, "a float", Value::as_f32)
    }

    /// A bool.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.typed(key, "a bool", |v| match v {
            Value::Bool(b) => Some(b),
            _ => None,
        })
    }

    /// An array of any type.
    pub fn array(&self, key: &str) -> Result<Option<Array<'_>>, GgufError> {
        self.typed(key, "an array", |v| match v {
            Value::Array(a) => Some(a),
            _ => None,
        })
    }

    /// An array of strings (bytes, as stored).
    pub fn strings(&self, key: &str) -> Result<Option<impl ExactSizeIterator<Item = &[u8]>>, GgufError> {
        let array = self.typed(key, "an array of strings", |v| match v {
            Value::Array(a) if a.ty == ValueType::String => Some(a),
            _ => None,
        })?;
        Ok(array.map(|a| {
            let items: Vec<&[u8]> = a.iter().map(|v| if let Value::String(s) = v { s } else { &[] }).collect();
            items.into_iter()
        }))
    }
}

impl Stored {
    fn value<'a>(&self, bytes: &'a [u8]) -> Value<'a> {
        let raw = &bytes[self.range.clone()];
        match self.ty {
            ValueType::Array => Value::Array(Array { ty: self.element, len: self.len, raw }),
            ty => Value::read(ty, raw).map_or(Value::Bool(false), |(value, _)| value),
        }
    }
}

fn bounded(what: &str, value: u64, limit: u64) -> Result<(), GgufError> {
    if value > limit { Err(GgufError::Limit { what: what.into(), value, limit }) } else { Ok(()) }
}

/// Magic and version.
fn preamble(cur: &mut Cursor<'_>) -> Result<u32, Stop> {
    let seen = &cur.bytes[..cur.bytes.len().min(4)];
    if !b"GGUF".starts_with(seen) {
        return Err(GgufError::Magic.into());
    }
    cur.take(4, || "magic".into())?;
    match cur.u32("version")? {
        version @ 2..=3 => Ok(version),
        version if version & 0xffff == 0 && version != 0 => Err(GgufError::WrongEndian.into()),
        version => Err(GgufError::Version(version).into()),
    }
}

type Kvs = (Vec<(Range<usize>, Stored)>, HashMap<String, usize>);

fn read_kvs(cur: &mut Cursor<'_>, n: u64) -> Result<Kvs, Stop> {
    let (mut kvs, mut by_key) = (Vec::new(), HashMap::new());
    for i in 0..n as usize {
        let key = cur.string("key", MAX_KEY)?;
        let key_range = cur.at - key.len()..cur.at;
        let name = std::str::from_utf8(key).map_err(|_| key_error(key, "is not UTF-8"))?;
        if name.is_empty() {
            return Err(key_error(key, "is empty"));
        }
        let stored = read_value(cur, key)?;
        if by_key.insert(name.to_owned(), i).is_some() {
            return Err(key_error(key, "appears twice"));
        }
        kvs.push((key_range, stored));
    }
    Ok((kvs, by_key))
}

fn read_type(cur: &mut Cursor<'_>, key: &[u8]) -> Result<ValueType, Stop> {
    let id = cur.u32("value type")?;
    ValueType::from_id(id).ok_or_else(|| key_error(key, format!("has the unknown value type {id}")))
}

fn read_value(cur: &mut Cursor<'_>, key: &[u8]) -> Result<Stored, Stop> {
    let ty = read_type(cur, key)?;
    if ty != ValueType::Array {
        let start = cur.at;
        skip_scalar(cur, ty, key)?;
        return Ok(Stored { ty, element: ty, len: 1, range: start..cur.at });
    }
    let element = read_type(cur, key)?;
    if element == ValueType::Array {
        return Err(key_error(key, "is an array of arrays"));
    }
    let len = cur.u64("array length")?;
    bounded(&format!("array length of '{}'", text(key)), len, MAX_ARRAY.min(cur.remaining() / element.min_bytes()))?;
    let start = cur.at;
    match element {
        ValueType::String | ValueType::Bool => {
            for _ in 0..len {
                skip_scalar(cur, element, key)?;
            }
        }
        fixed => {
            cur.take(len * fixed.min_bytes(), || format!("array '{}'", text(key)))?;
        }
    }
    Ok(Stored { ty, element, len: len as usize, range: start..cur.at })
}

fn skip_scalar(cur: &mut Cursor<'_>, ty: ValueType, key: &[u8]) -> Result<(), Stop> {
    match ty {
        ValueType::String => cur.string("string", MAX_STRING).map(drop),
        ValueType::Bool => match cur.take(1, || text(key))?[0] {
            0 | 1 => Ok(()),
            other => Err(key_error(key, format!("{other} is not a bool"))),
        },
        fixed => cur.take(fixed.min_bytes(), || text(key)).map(drop),
    }
}

/// One tensor record; its offset is still relative to the data.
fn read_tensor(cur: &mut Cursor<'_>) -> Result<TensorInfo, Stop> {
    let raw = cur.string("tensor name", MAX_TENSOR_NAME)?;
    let name = text(raw);
    let fail = |problem: String| Stop::Bad(GgufError::Tensor { name: name.clone(), problem });
    if std::str::from_utf8(raw).is_err() || raw.is_empty() {
        return Err(fail("its name is empty or not UTF-8".into()));
    }
    let n_dims = cur.u32("dimension count")?;
    if n_dims > 4 {
        return Err(fail(format!("has {n_dims} dimensions, the limit is 4")));
    }
    let mut dims = [1u64; 4];
    for dim in dims.iter_mut().take(n_dims as usize) {
        *dim = cur.u64("dimension")?;
    }
    let type_id = cur.u32("tensor type")?;
    let offset = cur.u64("tensor offset")?;
    let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d)).filter(|&n| n <= i64::MAX as u64);
    let elements = elements.ok_or_else(|| fail(format!("its shape {dims:?} overflows")))?;
    let bytes = match TensorType::from_id(type_id) {
        None => 0,
        Some(ty) if dims[0] % ty.block_len() as u64 != 0 => {
            return Err(fail(format!("rows of {} are not whole blocks of {}", dims[0], ty.name())));
        }
        Some(ty) => (elements / ty.block_len() as u64)
            .checked_mul(ty.block_bytes() as u64)
            .filter(|&n| n <= i64::MAX as u64)
            .ok_or_else(|| fail(format!("its shape {dims:?} overflows in bytes")))?,
    };
    Ok(TensorInfo { name, type_id, dims, n_dims, offset, bytes, shard: 0 })
}

//! Writes GGUF bytes field by field, so that every field can lie. Well-formed files come from `gguf::Writer`.

/// Value type ids of the format.
#[allow(missing_docs)]
pub mod ty {
    pub const U8: u32 = 0;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
}

/// Tensor type ids of the format.
#[allow(missing_docs)]
pub mod kind {
    pub const F32: u32 = 0;
    pub const Q4_0: u32 = 2;
    pub const I8: u32 = 24;
}

/// A file being written. Counts are those of what was added, unless overridden.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    kvs: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
    magic: Option<[u8; 4]>,
    version: Option<u32>,
    n_tensors: Option<u64>,
    n_kv: Option<u64>,
    alignment: Option<usize>,
}

/// A string as the format stores it: u64 length, bytes.
pub fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// The start of an array value: element type and length.
pub fn array(element: u32, len: u64) -> Vec<u8> {
    [&element.to_le_bytes()[..], &len.to_le_bytes()].concat()
}

impl Raw {
    /// An empty version 3 file.
    pub fn new() -> Self {
        Self::default()
    }
    /// Replaces the magic.
    pub fn magic(mut self, magic: &[u8; 4]) -> Self {
        self.magic = Some(*magic);
        self
    }
    /// Replaces the version.
    pub fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }
    /// Claims this many tensors.
    pub fn n_tensors(mut self, n: u64) -> Self {
        self.n_tensors = Some(n);
        self
    }
    /// Claims this many keys.
    pub fn n_kv(mut self, n: u64) -> Self {
        self.n_kv = Some(n);
        self
    }
    /// Adds a key with raw bytes as its value.
    pub fn kv(self, key: &[u8], ty: u32, value: &[u8]) -> Self {
        self.raw_kv(&[&string(key), &ty.to_le_bytes()[..], value].concat())
    }
    /// Adds bytes where a key is expected.
    pub fn raw_kv(mut self, bytes: &[u8]) -> Self {
        self.kvs.push(bytes.to_vec());
        self
    }
    /// Adds the key `general.alignment` and aligns data by it.
    pub fn alignment(mut self, alignment: u32) -> Self {
        self.alignment = Some(alignment.min(1 << 20) as usize); // an absurd one is only claimed
        self.kv(b"general.alignment", ty::U32, &alignment.to_le_bytes())
    }
    /// Adds a tensor record.
    pub fn tensor(self, name: &[u8], dims: &[u64], kind: u32, offset: u64) -> Self {
        self.tensor_dims(name, dims.len() as u32, dims, kind, offset)
    }
    /// Adds a tensor record that claims `n_dims` dimensions.
    pub fn tensor_dims(self, name: &[u8], n_dims: u32, dims: &[u64], kind: u32, offset: u64) -> Self {
        let dims: Vec<u8> = dims.iter().flat_map(|d| d.to_le_bytes()).collect();
        let tail = [&kind.to_le_bytes()[..], &offset.to_le_bytes()].concat();
        self.raw_tensor(&[&string(name), &n_dims.to_le_bytes()[..], &dims, &tail].concat())
    }
    /// Adds bytes where a tensor record is expected.
    pub fn raw_tensor(mut self, bytes: &[u8]) -> Self {
        self.tensors.push(bytes.to_vec());
        self
    }
    /// Ends the file with this many bytes of tensor data.
    pub fn data(mut self, bytes: usize) -> Self {
        self.data = bytes;
        self
    }
    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.unwrap_or(*b"GGUF").to_vec();
        out.extend(self.version.unwrap_or(3).to_le_bytes());
        out.extend(self.n_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.n_kv.unwrap_or(self.kvs.len() as u64).to_le_bytes());
        self.kvs.iter().chain(&self.tensors).for_each(|part| out.extend(part));
        if !self.tensors.is_empty() {
            out.resize(out.len().next_multiple_of(self.alignment.unwrap_or(32).max(1)), 0);
        }
        out.resize(out.len() + self.data, 0xa5);
        out
    }
}

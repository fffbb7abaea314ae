//! The GGUF reader against hostile, odd and random files: typed errors, bounded memory and time, one answer whichever way
//! the bytes come.

mod corpus;
mod many;
mod roundtrip;
mod split;
mod stream;
mod sweep;

use std::io;

use gabion::gguf::{GgufError, Header, Parse, Source};
use gabion_tests::alloc::Counting;

#[global_allocator]
static ALLOC: Counting = Counting;

/// Peak memory of parsing may be at most this many times the file's size (tables of keys and tensors beside a copy of the
/// header), plus `CONSTANT`.
const FACTOR: usize = 16;
/// Bytes that a small file may take.
const CONSTANT: usize = 16 << 10;

/// Parses a whole file of known length.
fn parse(bytes: &[u8]) -> Result<Header, GgufError> {
    match Header::parse(bytes, Some(bytes.len() as u64))? {
        Parse::Done(header) => Ok(header),
        Parse::Need(n) => panic!("a whole file of {} bytes needs {n}", bytes.len()),
    }
}

/// A header as comparable text; NaNs are equal.
fn shown(header: &Header) -> String {
    let entries: Vec<String> = header
        .entries()
        .map(|(key, value)| match value {
            gabion::gguf::Value::Array(array) => {
                format!("{key} = {:?} {:?}", array.ty, array.iter().collect::<Vec<_>>())
            }
            scalar => format!("{key} = {scalar:?}"),
        })
        .collect();
    format!("{} {} {} {entries:#?} {:#?}", header.version, header.alignment, header.data_start, header.tensors)
}

/// The variant's name.
fn variant(error: &GgufError) -> String {
    format!("{error:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// A source that is not mapped, as a browser's; its length is told or not.
struct Plain<'a> {
    bytes: &'a [u8],
    known: bool,
    reads: Vec<usize>,
}

impl<'a> Plain<'a> {
    fn new(bytes: &'a [u8], known: bool) -> Self {
        Self { bytes, known, reads: Vec::new() }
    }
}

impl Source for Plain<'_> {
    fn len(&self) -> Option<u64> {
        self.known.then_some(self.bytes.len() as u64)
    }
    async fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.reads.push(len);
        let start = (offset as usize).min(self.bytes.len());
        let end = start.saturating_add(len).min(self.bytes.len());
        Ok(self.bytes[start..end].to_vec())
    }
    fn name(&self) -> String {
        "plain".into()
    }
}

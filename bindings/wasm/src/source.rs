//! A file that JavaScript reads: a download stream, a `Blob` or an `ArrayBuffer`, as the core's `Source`.

use std::io;

use gabion::gguf::Source;
use js_sys::Uint8Array;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

/// Room reserved before a read: what a file claims beyond this must arrive before it takes memory.
const RESERVE: usize = 8 << 20;

#[wasm_bindgen]
extern "C" {
    /// `ModelFile` of `js/sources.ts`.
    pub type JsFile;
    #[wasm_bindgen(method, getter)]
    fn name(this: &JsFile) -> String;
    #[wasm_bindgen(method, getter)]
    fn size(this: &JsFile) -> Option<f64>;
    /// 1 to `max` bytes at `offset`; none at the end of the file.
    #[wasm_bindgen(method, catch)]
    async fn read(this: &JsFile, offset: f64, max: f64) -> Result<JsValue, JsValue>;
}

/// Reads a `JsFile`. A download can only go forward, while the core's first weight may lie in the block that ended the
/// header: the bytes of the last read are kept, and no read starts before the one before it.
pub(crate) struct JsSource {
    file: JsFile,
    last: Vec<u8>,
    /// Offset of `last`.
    at: u64,
}

impl JsSource {
    pub(crate) fn new(file: JsFile) -> Self {
        Self { file, last: Vec::new(), at: 0 }
    }

    /// What the last read already brought of the bytes from `offset` on.
    fn replay(&self, offset: u64, len: usize) -> &[u8] {
        let skip = offset.checked_sub(self.at).and_then(|skip| usize::try_from(skip).ok());
        let known = skip.and_then(|skip| self.last.get(skip..)).unwrap_or_default();
        &known[..known.len().min(len)]
    }

    async fn chunk(&self, offset: u64, max: usize) -> io::Result<Uint8Array> {
        let chunk = self.file.read(offset as f64, max as f64).await.map_err(failed)?;
        let chunk: Uint8Array = chunk.dyn_into().map_err(|_| io::Error::other("a read gave no bytes"))?;
        if chunk.length() as usize > max { Err(io::Error::other("a read gave too many bytes")) } else { Ok(chunk) }
    }
}

impl Source for JsSource {
    fn len(&self) -> Option<u64> {
        self.file.size().map(|size| size as u64)
    }

    async fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(RESERVE));
        bytes.extend_from_slice(self.replay(offset, len));
        while bytes.len() < len {
            let chunk = self.chunk(offset + bytes.len() as u64, len - bytes.len()).await?;
            if chunk.length() == 0 {
                break;
            }
            let start = bytes.len();
            bytes.resize(start + chunk.length() as usize, 0);
            chunk.copy_to(&mut bytes[start..]);
        }
        self.last.clone_from(&bytes);
        self.at = offset;
        Ok(bytes)
    }

    fn name(&self) -> String {
        self.file.name()
    }
}

fn failed(error: JsValue) -> io::Error {
    let message = error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |e| e.message().into());
    io::Error::other(message)
}

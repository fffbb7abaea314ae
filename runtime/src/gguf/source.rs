//! Where a GGUF file's bytes come from: memory, a mapped file, or a host's asynchronous range reads.

use std::future::Future;
use std::io;
use std::sync::Arc;

/// Random access to one file. Reads are asynchronous so that a browser can serve them by `fetch` or `Blob.slice`;
/// native sources answer at once, so `pollster::block_on` never waits.
///
/// Loading reads strictly forward (header first, then tensors by offset), so a plain download stream can serve it.
#[allow(clippy::len_without_is_empty)] // a file is never asked whether it is empty
pub trait Source {
    /// Length in bytes; `None` where it is not known before the end.
    fn len(&self) -> Option<u64>;
    /// Reads `len` bytes at `offset`; fewer only where the file ends.
    fn read(&mut self, offset: u64, len: usize) -> impl Future<Output = io::Result<Vec<u8>>>;
    /// The whole file where it is addressable for as long as the returned handle lives: tensors are then used in place.
    fn mapped(&self) -> Option<Mapped> {
        None
    }
    /// What to call it in messages.
    fn name(&self) -> String;
}

/// A file's bytes, shared.
#[derive(Clone)]
pub struct Mapped(pub Arc<dyn AsRef<[u8]> + Send + Sync>);

impl std::ops::Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

fn clamped(bytes: &[u8], offset: u64, len: usize) -> Vec<u8> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes[start..start.saturating_add(len).min(bytes.len())].to_vec()
}

/// A file held in memory.
pub struct BytesSource(Mapped);

impl BytesSource {
    /// Takes the bytes of a whole file.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Mapped(Arc::new(bytes.into())))
    }
}

impl Source for BytesSource {
    fn len(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
    async fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        Ok(clamped(&self.0, offset, len))
    }
    fn mapped(&self) -> Option<Mapped> {
        Some(self.0.clone())
    }
    fn name(&self) -> String {
        "memory".into()
    }
}

/// A file mapped into memory. The file must not be shortened while the model lives: the operating system would then
/// raise SIGBUS on access, as with every memory-mapping program.
#[cfg(not(target_arch = "wasm32"))]
pub struct MmapSource {
    map: Mapped,
    name: String,
}

#[cfg(not(target_arch = "wasm32"))]
impl MmapSource {
    /// Maps the file at `path`.
    pub fn open(path: &std::path::Path) -> io::Result<Self> {
        let file = std::fs::File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        // SAFETY: the map is read-only and private to this process; that nobody shortens the file meanwhile is the
        // documented condition of this type.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Self { map: Mapped(Arc::new(map)), name: path.display().to_string() })
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Source for MmapSource {
    fn len(&self) -> Option<u64> {
        Some(self.map.len() as u64)
    }
    async fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        Ok(clamped(&self.map, offset, len))
    }
    fn mapped(&self) -> Option<Mapped> {
        Some(self.map.clone())
    }
    fn name(&self) -> String {
        self.name.clone()
    }
}

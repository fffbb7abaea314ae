//! The GGUF container: header reader, sources of bytes, split files, and a small writer.
//!
//! A file is untrusted: every count, length, offset and type is checked against the bytes that are really there before
//! anything is allocated for it (spec "gguf format", section 3).

mod header;
mod read;
mod source;
mod split;
mod value;
mod writer;

pub use header::{Header, Parse, TensorInfo};
pub use read::{read_header, read_headers};
#[cfg(not(target_arch = "wasm32"))]
pub use source::MmapSource;
pub use source::{BytesSource, Mapped, Source};
pub use split::{join, shard_name, shard_path};
pub use value::{Array, Value, ValueType};
pub use writer::{Owned, Writer};

/// What is wrong with a GGUF file. Each message names the key or tensor and the limit that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error("it does not start with the bytes GGUF")]
    Magic,
    /// A version this reader does not know.
    #[error("version {0} is not supported (2 and 3 are); convert it with a current tool")]
    Version(u32),
    /// Written for a machine of the other byte order.
    #[error("it is a big-endian file; convert it to little-endian")]
    WrongEndian,
    /// A length or count points past the end of the file.
    #[error("truncated: {0}")]
    Truncated(String),
    /// A key-value pair is malformed.
    #[error("key '{key}': {problem}")]
    Key {
        /// the key, or a prefix of it
        key: String,
        /// what is wrong
        problem: String,
    },
    /// A tensor record is malformed.
    #[error("tensor '{name}': {problem}")]
    Tensor {
        /// the tensor's name
        name: String,
        /// what is wrong
        problem: String,
    },
    /// A count or size is beyond a limit.
    #[error("{what} is {value}, the limit is {limit}")]
    Limit {
        /// what was counted
        what: String,
        /// the file's value
        value: u64,
        /// the largest accepted
        limit: u64,
    },
    /// The files of a split set do not belong together.
    #[error("split files: {0}")]
    Split(String),
}

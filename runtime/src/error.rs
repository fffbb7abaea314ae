//! One error type for the whole core, each variant with a stable numeric code for the C ABI.

use crate::gguf;

/// Why an operation failed. Messages name the file, key, tensor or limit, and what to do next where that is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is outside what the function documents.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// Reading a file or stream failed.
    #[error("cannot read {what}: {source}")]
    Io {
        /// what was being read
        what: String,
        /// the cause
        #[source]
        source: std::io::Error,
    },
    /// Writing a file failed.
    #[error("cannot write {what}: {source}")]
    Write {
        /// what was being written
        what: String,
        /// the cause
        #[source]
        source: std::io::Error,
    },
    /// The file is not a GGUF file that can be trusted.
    #[error("not a usable GGUF file: {0}")]
    Gguf(#[from] gguf::GgufError),
    /// The file is sound but holds something this version cannot run.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The model's tensors or hyperparameters contradict each other.
    #[error("inconsistent model: {0}")]
    Model(String),
    /// The tokenizer's data is broken, or its kind unknown.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The chat template failed or exceeded its limits.
    #[error("chat template: {0}")]
    Template(String),
    /// No device of that name, or it cannot be used.
    #[error("device: {0}")]
    Device(String),
    /// The device was lost (driver reset, removed). Make a new Runtime and load the model again; the session's
    /// tokens are enough to rebuild it.
    #[error("device lost: {0}")]
    DeviceLost(String),
    /// Memory for `bytes` could not be had.
    #[error("out of memory: {what} needs {bytes} bytes")]
    OutOfMemory {
        /// what it was for
        what: String,
        /// how much was wanted
        bytes: u64,
    },
    /// The session's context is full, or a text is longer than its embedder takes.
    #[error(
        "context full: {wanted} tokens do not fit in a context of {limit}; make one of more (n_ctx, max_tokens), or have long texts cut"
    )]
    ContextFull {
        /// tokens that would be in the context
        wanted: usize,
        /// the context's size
        limit: usize,
    },
    /// Cancelled by the caller.
    #[error("cancelled")]
    Cancelled,
    /// The object is in use: by another thread, or by a generation that has not ended. Faces without Rust's borrow rules
    /// answer with this where Rust would not compile.
    #[error("busy: {0}")]
    Busy(String),
    /// A defect in gabion itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// The stable code of the C ABI (negative).
    pub fn code(&self) -> i32 {
        match self {
            Error::InvalidArgument(_) => -1,
            Error::Io { .. } | Error::Write { .. } => -2,
            Error::Gguf(_) => -3,
            Error::Unsupported(_) => -4,
            Error::Model(_) => -5,
            Error::Tokenizer(_) => -6,
            Error::Template(_) => -7,
            Error::Device(_) => -8,
            Error::DeviceLost(_) => -9,
            Error::OutOfMemory { .. } => -10,
            Error::ContextFull { .. } => -11,
            Error::Cancelled => -12,
            Error::Internal(_) => -13,
            Error::Busy(_) => -14,
        }
    }

    /// The stable name of `code`, for languages whose errors carry a string.
    pub fn name(&self) -> &'static str {
        match self {
            Error::InvalidArgument(_) => "invalid_argument",
            Error::Io { .. } | Error::Write { .. } => "io",
            Error::Gguf(_) => "gguf",
            Error::Unsupported(_) => "unsupported",
            Error::Model(_) => "model",
            Error::Tokenizer(_) => "tokenizer",
            Error::Template(_) => "template",
            Error::Device(_) => "device",
            Error::DeviceLost(_) => "device_lost",
            Error::OutOfMemory { .. } => "out_of_memory",
            Error::ContextFull { .. } => "context_full",
            Error::Cancelled => "cancelled",
            Error::Internal(_) => "internal",
            Error::Busy(_) => "busy",
        }
    }
}

/// The core's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

//! Files that lie: the corpus of malformed headers, shared by the tests of the reader, of `Model::load` and of the C ABI.

pub mod headers;
pub mod raw;

pub use headers::{Case, headers};

//! Files that lie: malformed headers and impossible models, shared by the tests of the reader, of `Model::load` and of the
//! C ABI.

pub mod headers;
pub mod models;
pub mod raw;

pub use headers::{Case, headers};
pub use models::models;

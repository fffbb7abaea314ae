//! gabion's C ABI: `include/gabion.h` is generated from this crate (see `cbindgen.toml` for its head), one file per noun.
//!
//! The rules, each kept in one place: every export runs inside `status::guard`, so no panic leaves it; arguments are read
//! by `input`, results written by `output`; `session` turns use from two places at once into `Error::Busy`.
#![allow(non_camel_case_types)] // the names are C's
#![allow(clippy::missing_safety_doc)] // the contract of every export is stated once, at the top of the header

mod input;
mod output;

// the order of the header; a blank line keeps rustfmt from sorting
pub mod status;

pub mod log;

pub mod runtime;

pub mod model;

pub mod text;

pub mod session;

pub mod fit;

pub mod generate;

pub mod embed;

#[cfg(test)]
mod hostile;

use std::ffi::c_char;

/// The version of this interface. It grows only when programs built against an older header could no longer run.
pub const GABION_ABI_VERSION: u32 = 0;

/// The version of the library, "major.minor.patch". Never NULL; lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn gabion_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The interface version of the library: a program compares it with GABION_ABI_VERSION at its start.
#[unsafe(no_mangle)]
pub extern "C" fn gabion_abi_version() -> u32 {
    GABION_ABI_VERSION
}

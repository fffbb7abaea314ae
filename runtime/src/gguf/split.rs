//! Split files: names of shards, and one header for the whole set.

use std::path::{Path, PathBuf};

use super::{GgufError, Header};

/// More shards than any real model has; a hostile first shard cannot make a loader open more files than this.
const MAX_SHARDS: u32 = 1024;

impl Header {
    /// How many files the set has, as the first shard says: 1 for a single file.
    pub fn shard_count(&self) -> Result<usize, GgufError> {
        let count = self.u32("split.count")?.unwrap_or(1).max(1);
        if count > MAX_SHARDS {
            let limit = MAX_SHARDS.into();
            return Err(GgufError::Limit { what: "split.count".into(), value: count.into(), limit });
        }
        if count > 1 && self.u32("split.no")?.unwrap_or(0) != 0 {
            return Err(GgufError::Split("this is not the first shard: open the one named ...-00001-of-...".into()));
        }
        Ok(count as usize)
    }
}

/// The path of shard `index` (from 0), given the path of shard 0, `<prefix>-00001-of-<count>.gguf`.
pub fn shard_path(first: &Path, index: usize, count: usize) -> Result<PathBuf, GgufError> {
    let name = first.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(first.with_file_name(shard_name(name, index, count)?))
}

/// The same of a name that is no path, such as an address.
pub fn shard_name(first: &str, index: usize, count: usize) -> Result<String, GgufError> {
    let suffix = format!("-00001-of-{count:05}.gguf");
    let prefix = first.strip_suffix(&suffix);
    let prefix = prefix.ok_or_else(|| GgufError::Split(format!("the first shard's name must end in '{suffix}'")))?;
    Ok(format!("{prefix}-{:05}-of-{count:05}.gguf", index + 1))
}

/// Joins the headers of all shards, in order, into one.
pub fn join(mut headers: Vec<Header>) -> Result<Header, GgufError> {
    if headers.len() <= 1 {
        return headers.pop().ok_or_else(|| GgufError::Split("no file was given".into()));
    }
    let count = headers.len() as u32;
    for (i, header) in headers.iter().enumerate() {
        if header.u32("split.no")? != Some(i as u32) || header.u32("split.count")? != Some(count) {
            return Err(GgufError::Split(format!("file {} of {count} is not shard {} of {count}", i + 1, i + 1)));
        }
    }
    let rest = headers.split_off(1);
    let mut first = headers.remove(0);
    for (i, header) in rest.into_iter().enumerate() {
        first.absorb(header, i + 1)?;
    }
    match first.u32("split.tensors.count")? {
        Some(total) if total as usize != first.tensors.len() => {
            Err(GgufError::Split(format!("{} tensors found, {total} announced", first.tensors.len())))
        }
        _ => Ok(first),
    }
}

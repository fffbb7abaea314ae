//! Reads a header through a `Source`, asking for more bytes until it is whole.

use super::{GgufError, Header, Parse, Source, join};
use crate::error::{Error, Result};

/// First read: enough for most headers without a vocabulary.
const FIRST: usize = 1 << 20;

/// Reads and checks the header at the start of `source`. Memory is proportional to the bytes that `source` really has,
/// whatever lengths they claim.
pub async fn read_header<S: Source>(source: &mut S) -> Result<Header> {
    let total = source.len();
    if let Some(mapped) = source.mapped() {
        return Ok(whole(Header::parse(&mapped, total)?)?);
    }
    let (mut bytes, mut need) = (Vec::new(), 1);
    loop {
        let ended = more(source, &mut bytes, total).await?;
        if ended {
            return Ok(whole(Header::parse(&bytes, total.or(Some(bytes.len() as u64)))?)?);
        }
        if (bytes.len() as u64) < need {
            continue;
        }
        match Header::parse(&bytes, total)? {
            Parse::Done(header) => return Ok(header),
            Parse::Need(n) => need = n,
        }
    }
}

impl Header {
    /// The header of a model of one file from the start of that file: its first bytes, as many as the header has or more.
    pub fn from_start(bytes: &[u8]) -> Result<Self> {
        let header = whole(Self::parse(bytes, None)?)?;
        match header.shard_count()? {
            1 => Ok(header),
            count => Err(GgufError::Split(format!("the model has {count} files, the start of one was given")).into()),
        }
    }
}

/// The header of a model from all its files, in order (one unless it is split).
pub async fn read_headers<S: Source>(files: &mut [S]) -> Result<Header> {
    let mut headers = Vec::new();
    for file in files.iter_mut() {
        headers.push(read_header(file).await?);
    }
    let first = headers.first().ok_or_else(|| Error::InvalidArgument("no file was given".into()))?;
    let count = first.shard_count()?;
    if count != files.len() {
        return Err(GgufError::Split(format!("the model has {count} files, {} were given", files.len())).into());
    }
    Ok(join(headers)?)
}

/// Reads as much again as is there already, so that the number of reads and re-parses is logarithmic. Returns whether
/// the file has ended.
async fn more<S: Source>(source: &mut S, bytes: &mut Vec<u8>, total: Option<u64>) -> Result<bool> {
    let have = bytes.len() as u64;
    let left = usize::try_from(total.map_or(u64::MAX, |total| total.saturating_sub(have))).unwrap_or(usize::MAX);
    let want = bytes.len().max(FIRST).min(left);
    let read = source.read(have, want).await;
    let read = read.map_err(|error| Error::Io { what: source.name(), source: error })?;
    bytes.extend_from_slice(&read);
    Ok(read.len() < want || total == Some(bytes.len() as u64))
}

fn whole(parsed: Parse) -> Result<Header, GgufError> {
    match parsed {
        Parse::Done(header) => Ok(header),
        Parse::Need(n) => Err(GgufError::Truncated(format!("the header needs at least {n} bytes"))),
    }
}

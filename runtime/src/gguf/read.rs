//! Reads a header through a `Source`, asking for more bytes until it is whole.

use super::{GgufError, Header, Parse, Source};
use crate::error::{Error, Result};

/// First read: enough for most headers without a vocabulary.
const FIRST: u64 = 1 << 20;

/// Reads and checks the header at the start of `source`.
pub async fn read_header<S: Source>(source: &mut S) -> Result<Header> {
    let total = source.len();
    let io = |name: String| move |source| Error::Io { what: name, source };
    if let Some(mapped) = source.mapped() {
        return match Header::parse(&mapped, total)? {
            Parse::Done(header) => Ok(header),
            Parse::Need(n) => Err(GgufError::Truncated(format!("the header needs {n} bytes")).into()),
        };
    }
    let mut bytes = Vec::new();
    let mut want = FIRST;
    loop {
        let end = total.map_or(want, |total| want.min(total));
        let more = source.read(bytes.len() as u64, (end - bytes.len() as u64) as usize).await;
        bytes.extend_from_slice(&more.map_err(io(source.name()))?);
        match Header::parse(&bytes, total)? {
            Parse::Done(header) => return Ok(header),
            Parse::Need(n) if total == Some(bytes.len() as u64) => {
                return Err(GgufError::Truncated(format!("the header needs {n} bytes")).into());
            }
            // doubling keeps the number of reads and re-parses logarithmic
            Parse::Need(n) => want = n.max(bytes.len() as u64 * 2),
        }
    }
}

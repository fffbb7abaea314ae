//! The header of a model behind an http(s) address: fetched by ranges, a megabyte first, and more only as it is needed. From a
//! server without ranges the start of the file is read, and the rest left.
//!
//! Ctrl-C ends the process as the system does it: nothing is under way here that would have to be put in order.

use std::io::{self, Read};
use std::time::Duration;

use gabion::gguf::{Header, Source, read_header, read_headers, shard_name};
use gabion::{Error, Result};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// Most bytes of one file that are fetched: well above any header.
const MOST: u64 = 256 << 20;
/// How long a server may keep silent, and how long one answer may take.
const SILENCE: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(300);
const REDIRECTS: u32 = 5;

pub(crate) fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| scheme == "http" || scheme == "https")
}

/// The header of the model at `url`; of a split model, the first file's address.
pub(crate) fn header(url: &str) -> Result<Header> {
    pollster::block_on(async {
        let agent = agent();
        let mut files = vec![Remote::open(&agent, url)?];
        let count = read_header(&mut files[0]).await?.shard_count()?;
        // what stands behind the path (a signature, a version) goes with each file
        let (path, rest) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
        for index in 1..count {
            files.push(Remote::open(&agent, &(shard_name(path, index, count)? + rest))?);
        }
        read_headers(&mut files).await
    })
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .max_redirects(REDIRECTS)
        .http_status_as_error(false)
        // ranges count the file's own bytes
        .accept_encoding("identity")
        .user_agent(concat!("gabion/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_recv_body(Some(ANSWER));
    config.build().into()
}

/// The start of a file.
struct Remote {
    agent: Agent,
    url: String,
    /// The file's length, if the server told it.
    len: Option<u64>,
    /// The first bytes of the file, as far as they are fetched.
    bytes: Vec<u8>,
    /// The rest of a file that came without being asked for by range.
    whole: Option<Box<dyn Read>>,
}

impl Remote {
    /// Fetches the first bytes, and with them the file's length.
    fn open(agent: &Agent, url: &str) -> Result<Self> {
        let mut file = Self { agent: agent.clone(), url: url.into(), len: None, bytes: Vec::new(), whole: None };
        let first = file.more(1 << 20);
        first.map_err(|source| Error::Io { what: file.name(), source })?;
        Ok(file)
    }

    /// Fetches up to `n` more bytes; fewer only where the file ends.
    fn more(&mut self, n: u64) -> io::Result<()> {
        let start = self.bytes.len() as u64;
        if start + n > MOST {
            return Err(failed(format!("its header is larger than {} MiB", MOST >> 20)));
        }
        if self.whole.is_none() {
            let response = self.ask(start, n)?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT => return self.part(response, start, n),
                StatusCode::RANGE_NOT_SATISFIABLE => return Ok(()),
                StatusCode::OK => self.len = response.body().content_length(),
                status => return Err(failed(format!("HTTP {status}"))),
            }
            if start > 0 {
                return Err(failed("the server answered ranges before, and now does not".into()));
            }
            self.whole = Some(Box::new(response.into_body().into_reader()));
        }
        let Some(whole) = &mut self.whole else { return Ok(()) };
        whole.take(n).read_to_end(&mut self.bytes).map(drop)
    }

    fn ask(&self, start: u64, n: u64) -> io::Result<Response<Body>> {
        let range = format!("bytes={start}-{}", start + n - 1);
        let request = self.agent.get(&self.url).header(header::RANGE, range);
        request.call().map_err(|error| match error {
            ureq::Error::Io(error) => error,
            error => failed(error.to_string()),
        })
    }

    /// The bytes of an answer by range, which must be the ones that were asked for.
    fn part(&mut self, response: Response<Body>, start: u64, n: u64) -> io::Result<()> {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let (from, len) =
            range.and_then(content_range).ok_or_else(|| failed("its Content-Range makes no sense".into()))?;
        if from != start || (start > 0 && len != self.len) {
            return Err(failed("it is another range, or the file has changed".into()));
        }
        self.len = len;
        response.into_body().into_reader().take(n).read_to_end(&mut self.bytes).map(drop)
    }
}

fn failed(what: String) -> io::Error {
    io::Error::other(what)
}

/// First byte and length of the whole, if known, in `bytes 0-99/1000`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, len) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = range.split_once('-')?.0.trim().parse().ok()?;
    Some((from, if len == "*" { None } else { Some(len.parse().ok()?) }))
}

impl Source for Remote {
    fn len(&self) -> Option<u64> {
        self.len
    }

    async fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(len as u64).min(self.len.unwrap_or(u64::MAX));
        if let Some(missing) = end.checked_sub(self.bytes.len() as u64).filter(|&missing| missing > 0) {
            self.more(missing)?;
        }
        let rest = usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..)).unwrap_or_default();
        Ok(rest[..rest.len().min(len)].to_vec())
    }

    fn name(&self) -> String {
        self.url.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        assert!(is_address("https://a/b.gguf") && is_address("HTTP://a"));
        for path in ["model.gguf", "/a/b.gguf", "C:/x.gguf", "ftp://a/b", "https:/a"] {
            assert!(!is_address(path), "{path}");
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(content_range("bytes 0-99/1000"), Some((0, Some(1000))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["bytes */1000", "0-99/1000", "bytes 0-99", "bytes x-1/2", "bytes 0-1/x"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}

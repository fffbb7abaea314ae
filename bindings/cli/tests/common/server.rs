//! A small HTTP server that behaves, or does not.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a server behaves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Ranges,
    /// Answers every request with the whole file.
    Whole,
    /// The same without saying how long it is.
    Unmeasured,
    /// Answers with another range than was asked for.
    Wrong,
    /// The file grows between two answers.
    Growing,
    /// Ends an answer early.
    Broken,
    /// Sends everyone elsewhere once, to ranges.
    Moved,
    /// Sends everyone in a circle.
    Circle,
    /// Never answers.
    Silent,
}

pub(crate) struct Server {
    pub(crate) url: String,
    /// Bytes of files that were sent.
    pub(crate) sent: Arc<AtomicU64>,
}

struct Site {
    kind: Kind,
    files: Vec<(String, Vec<u8>)>,
    sent: Arc<AtomicU64>,
}

/// Serves files by name until the test ends.
pub(crate) fn serve(kind: Kind, files: Vec<(String, Vec<u8>)>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let sent = Arc::new(AtomicU64::new(0));
    let site = Site { kind, files, sent: sent.clone() };
    std::thread::spawn(move || {
        for (turn, stream) in (0..).zip(listener.incoming()) {
            // a client that has seen enough hangs up
            let _ = site.answer(turn, stream.expect("a connection"));
        }
    });
    Server { url, sent }
}

impl Site {
    fn answer(&self, turn: usize, mut stream: TcpStream) -> Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let headers: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let path = request.split([' ', '?']).nth(1).unwrap_or_default();
        let file = self.files.iter().find(|file| path.ends_with(&format!("/{}", file.0)));
        let (head, body) = match (self.kind, file) {
            (Kind::Silent, _) => {
                std::thread::sleep(std::time::Duration::from_secs(60));
                return Ok(());
            }
            (Kind::Circle, _) => ("302 Found\r\nLocation: /circle\r\nContent-Length: 0".into(), &[][..]),
            (_, None) => ("404 Not Found\r\nContent-Length: 0".into(), &[][..]),
            (Kind::Moved, Some(_)) if !path.starts_with("/new/") => {
                (format!("302 Found\r\nLocation: /new{path}\r\nContent-Length: 0"), &[][..])
            }
            (Kind::Whole, Some((_, file))) => (format!("200 OK\r\nContent-Length: {}", file.len()), &file[..]),
            (Kind::Unmeasured, Some((_, file))) => ("200 OK".into(), &file[..]),
            (_, Some((_, file))) => self.part(turn, &headers, file),
        };
        write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n")?;
        for block in body.chunks(1 << 16) {
            stream.write_all(block)?;
            self.sent.fetch_add(block.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }

    fn part<'a>(&self, turn: usize, headers: &[String], file: &'a [u8]) -> (String, &'a [u8]) {
        let range =
            headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let range = range.expect("a range");
        let (from, to) = range.split_once('-').expect("two ends");
        let (from, to): (usize, usize) = (from.parse().expect("a number"), to.parse().expect("a number"));
        let to = file.len().min(to + 1);
        let first = from + usize::from(self.kind == Kind::Wrong);
        let total = file.len() + if self.kind == Kind::Growing { turn } else { 0 };
        let (last, len) = (to - 1, to - from);
        let end = if self.kind == Kind::Broken { from + len / 2 } else { to };
        let head = "206 Partial Content\r\nContent-Range: bytes";
        (format!("{head} {first}-{last}/{total}\r\nContent-Length: {len}"), &file[from..end])
    }
}

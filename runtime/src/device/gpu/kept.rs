//! Files that keep what can be found again, but at a price: which products pay on an adapter, what its driver compiled. They
//! lie in the user's cache folder. A file that is damaged, or somebody else's, is as good as none; no folder is no harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::device::DeviceInfo;
use crate::fnv;

/// Longest file that is read.
const LONGEST: u64 = 64 << 20;

/// Where something is kept for an adapter.
pub(super) struct Kept {
    file: Option<PathBuf>,
    /// What it holds for: a line.
    key: String,
}

impl Kept {
    /// `what` is the file's name; `folder`: gabion's folder among the user's caches, if `None`.
    pub(super) fn new(what: &str, info: &DeviceInfo, folder: Option<&Path>) -> Self {
        let words = ["gabion", env!("CARGO_PKG_VERSION"), &info.backend, &info.name, &info.driver];
        let key = words.join(" ").replace(char::is_control, " ");
        let folder = folder.map(PathBuf::from).or_else(user_folder);
        // the name only has to differ between adapters, the key in the file decides
        let file = folder.map(|folder| folder.join(format!("{what}-{:016x}", fnv::of(key.as_bytes()))));
        Self { file, key }
    }

    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let file = self.file.as_ref()?;
        if fs::metadata(file).ok()?.len() > LONGEST {
            return None;
        }
        parse(&fs::read(file).ok()?, &self.key).map(<[u8]>::to_vec)
    }

    /// Written aside and moved into place, so that nobody reads half of it.
    pub(super) fn write(&self, content: &[u8]) {
        static WRITES: AtomicU32 = AtomicU32::new(0);
        let Some(file) = &self.file else { return };
        let own = format!("{}-{}", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let aside = file.with_extension(own);
        let written = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&aside, packed(content, &self.key)));
        if let Err(error) = written.and_then(|()| fs::rename(&aside, file)) {
            let _ = fs::remove_file(&aside);
            log::debug!("{}: {error}", file.display());
        }
    }
}

/// gabion's folder for what can be made again.
fn user_folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = |below: &str| from("HOME").map(|home| home.join(below));
    let folder = if cfg!(windows) {
        from("LOCALAPPDATA")
    } else if cfg!(target_vendor = "apple") {
        home("Library/Caches")
    } else {
        from("XDG_CACHE_HOME").or_else(|| home(".cache"))
    };
    folder.map(|folder| folder.join("gabion"))
}

/// A file: the key, the content's checksum, the content.
fn packed(content: &[u8], key: &str) -> Vec<u8> {
    let head = format!("{key}\n{:016x}\n", fnv::of(content));
    [head.as_bytes(), content].concat()
}

fn parse<'a>(file: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let rest = file.strip_prefix(key.as_bytes())?.strip_prefix(b"\n")?;
    let (sum, content) = (rest.get(..16)?, rest.get(16..)?.strip_prefix(b"\n")?);
    (sum == format!("{:016x}", fnv::of(content)).as_bytes()).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for content in [&b""[..], b"\n", b"one base 16 1\n", &[0, 255, 10, 13]] {
            assert_eq!(parse(&packed(content, "key"), "key"), Some(content));
        }
    }

    #[test]
    fn what_is_damaged_or_foreign_is_ignored() {
        let good = packed(b"some\ncontent", "key");
        assert_eq!(parse(&good, "other key"), None);
        assert_eq!(parse(&good, "ke"), None);
        for end in 0..good.len() {
            assert_eq!(parse(&good[..end], "key"), None, "{end}");
            let mut bad = good.clone();
            bad[end] ^= 1;
            assert_eq!(parse(&bad, "key"), None, "{end}");
        }
        assert_eq!(parse(&[&good[..], b"more"].concat(), "key"), None);
    }
}

//! The file that keeps what was chosen for an adapter. A file that is damaged, or somebody else's, is as good as none.

use std::fs;
use std::path::PathBuf;

use super::candidates;
use crate::device::gpu::level::Level;
use crate::device::gpu::products::Products;
use crate::device::gpu::{Gpu, GpuOptions};

/// Longest file that is read.
const LONGEST: u64 = 4096;

/// Where an adapter's choice is kept.
pub(super) struct Kept {
    file: Option<PathBuf>,
    /// What the choice holds for: a line.
    key: String,
}

impl Kept {
    pub(super) fn new(gpu: &Gpu, options: &GpuOptions) -> Self {
        let info = &gpu.info;
        let words = ["gabion", env!("CARGO_PKG_VERSION"), &info.backend, &info.name, &info.driver];
        let key = words.join(" ").replace(char::is_control, " ");
        let folder = options.cache_folder.clone().or_else(user_folder);
        // FNV-1a: the name only has to differ between adapters, the key in the file decides
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self { file: folder.map(|folder| folder.join(format!("products-{hash:016x}"))), key }
    }

    pub(super) fn read(&self) -> Option<Products> {
        let file = self.file.as_ref()?;
        if fs::metadata(file).ok()?.len() > LONGEST {
            return None;
        }
        parse(&fs::read_to_string(file).ok()?, &self.key)
    }

    /// Written aside and moved into place, so that nobody reads half of it.
    pub(super) fn write(&self, products: Products) {
        let Some(file) = &self.file else { return };
        let aside = file.with_extension(std::process::id().to_string());
        let written = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&aside, text(products, &self.key)));
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

fn text(products: Products, key: &str) -> String {
    let Products { one, many } = products;
    let one = format!("one {} {} {}", one.level.name(), one.split, one.tiles);
    format!("{key}\n{one}\nmany {} {} {}\n", many.level.name(), many.groups, many.quads)
}

/// Only what could have been chosen here is taken.
fn parse(text: &str, key: &str) -> Option<Products> {
    let mut lines = text.lines();
    if lines.next() != Some(key) {
        return None;
    }
    let mut row = |name: &str| {
        let mut words = lines.next()?.split(' ');
        (words.next()? == name).then_some(())?;
        let level = Level::from_name(words.next()?)?;
        let numbers = (words.next()?.parse::<u32>().ok()?, words.next()?.parse::<u32>().ok()?);
        words.next().is_none().then_some((level, numbers))
    };
    let ((one_level, one), (many_level, many)) = (row("one")?, row("many")?);
    let (ones, manys) = candidates();
    let one = ones.into_iter().find(|c| c.level == one_level && (c.split, c.tiles) == one)?;
    let many = manys.into_iter().find(|c| c.level == many_level && (c.groups, c.quads) == many)?;
    lines.next().is_none().then_some(Products { one, many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (ones, manys) = candidates();
        for &one in &ones {
            for &many in &manys {
                let products = Products { one, many };
                assert_eq!(parse(&text(products, "key"), "key"), Some(products));
            }
        }
    }

    #[test]
    fn what_is_damaged_or_foreign_is_ignored() {
        let good = text(Products::new(16, 1, 16), "key");
        assert!(parse(&good, "key").is_some());
        assert_eq!(parse(&good, "other key"), None);
        for end in 0..good.len() - 1 {
            assert_eq!(parse(&good[..end], "key"), None, "{:?}", &good[..end]);
        }
        for (from, to) in [("16", "17"), ("16", "4294967296"), ("base", "best"), ("one", "two"), ("\nmany", "\n\nmany")]
        {
            assert_eq!(parse(&good.replace(from, to), "key"), None, "{from} -> {to}");
        }
        assert_eq!(parse(&(good + "more"), "key"), None);
    }
}

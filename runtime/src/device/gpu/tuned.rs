//! The choice of levels and shapes of products (`tune.rs`) as it is kept in the user's cache folder.

use super::kept::Kept;
use super::products::Products;
use super::tune::candidates;
use super::{GpuOptions, Level};
use crate::device::DeviceInfo;

/// Where the choice for an adapter is kept.
pub(super) struct Tuned(Kept);

impl Tuned {
    pub(super) fn of(info: &DeviceInfo, options: &GpuOptions) -> Self {
        Self(Kept::new("products", info, options.cache_folder.as_deref()))
    }

    pub(super) fn read(&self) -> Option<Products> {
        parse(std::str::from_utf8(&self.0.read()?).ok()?)
    }

    pub(super) fn write(&self, products: Products) {
        self.0.write(text(products).as_bytes());
    }
}

fn text(products: Products) -> String {
    let Products { one, many } = products;
    let one = format!("one {} {} {}", one.level.name(), one.split, one.tiles);
    format!("{one}\nmany {} {} {}\n", many.level.name(), many.groups, many.quads)
}

/// Only what could have been chosen here is taken.
fn parse(text: &str) -> Option<Products> {
    let mut lines = text.lines();
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
    fn what_is_kept_is_read() {
        let (ones, manys) = candidates();
        for &one in &ones {
            for &many in &manys {
                let products = Products { one, many };
                assert_eq!(parse(&text(products)), Some(products));
            }
        }
    }

    #[test]
    fn what_could_not_be_chosen_is_ignored() {
        let good = text(Products::new(16, 1, 16));
        assert!(parse(&good).is_some());
        for end in 0..good.len() - 1 {
            assert_eq!(parse(&good[..end]), None, "{:?}", &good[..end]);
        }
        for (from, to) in [("16", "17"), ("16", "4294967296"), ("base", "best"), ("one", "two"), ("\nmany", "\n\nmany")]
        {
            assert_eq!(parse(&good.replace(from, to)), None, "{from} -> {to}");
        }
        assert_eq!(parse(&(good + "more")), None);
    }
}

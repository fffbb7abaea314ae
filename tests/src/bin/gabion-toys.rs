//! Writes the small random models of `gabion_tests::toy` to a folder, for tests in other languages: `gabion-toys FOLDER`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("usage: gabion-toys FOLDER"));
    std::fs::create_dir_all(&folder)?;
    gabion_tests::toy::all().into_iter().try_for_each(|(name, toy)| std::fs::write(folder.join(name), toy.bytes()))
}

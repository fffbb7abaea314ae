//! Writes the seeds of the fuzz targets to a folder: `cargo run -p gabion-tests --bin fuzz-seeds -- tests/fuzz/corpus`.

use std::path::PathBuf;

use gabion_tests::fuzz::seeds;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or("tests/fuzz/corpus".into()));
    for (target, seeds) in [("header", seeds::header()), ("tokenizer", seeds::tokenizer())] {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for (i, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i:03}")), seed)?;
        }
        println!("{}: {} seeds", folder.display(), seeds.len());
    }
    Ok(())
}

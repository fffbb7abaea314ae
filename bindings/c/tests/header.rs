//! `include/gabion.h` is what cbindgen makes of this crate. `GABION_BLESS=1` rewrites it.

use std::path::{Path, PathBuf};

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include/gabion.h")
}

fn generate() -> String {
    let mut made = Vec::new();
    cbindgen::generate(env!("CARGO_MANIFEST_DIR")).expect("cbindgen reads this crate").write(&mut made);
    String::from_utf8(made).unwrap()
}

#[test]
fn header_is_up_to_date() {
    let made = generate();
    if std::env::var_os("GABION_BLESS").is_some() {
        std::fs::create_dir_all(header().parent().unwrap()).unwrap();
        std::fs::write(header(), &made).unwrap();
    }
    let committed = std::fs::read_to_string(header()).unwrap_or_default();
    assert!(committed == made, "include/gabion.h is out of date: GABION_BLESS=1 cargo test -p gabion-c");
}

#[test]
fn every_declaration_is_documented() {
    let made = generate();
    let lines: Vec<&str> = made.lines().collect();
    for (before, line) in lines.iter().zip(&lines[1..]) {
        if line.starts_with("GABION_API ") || line.starts_with("typedef ") {
            assert!(before.trim_start().starts_with("///"), "no comment above: {line}");
        }
    }
}

//! The Swift package as far as it can be checked without Swift: its module map compiles, its names exist.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::tools::{folder, have, root, run};

/// clang on a file that imports the module `name`.
fn import(name: &str) -> Command {
    let source = folder("src").join(format!("{name}.m"));
    let code = format!("@import {name};\nint main(void) {{ return gabion_abi_version() == GABION_ABI_VERSION; }}\n");
    std::fs::write(&source, code).unwrap();
    let map = root().join("bindings/swift/Sources/CGabion/module.modulemap");
    let mut clang = Command::new("clang");
    clang.args(["-fmodules", "-fsyntax-only", "-Werror", "-x", "objective-c"]);
    clang.arg(format!("-fmodules-cache-path={}", folder("modules").display()));
    clang.arg(format!("-fmodule-map-file={}", map.display())).arg(source);
    clang
}

#[test]
fn the_module_map_compiles() {
    if !have("clang") {
        return;
    }
    run(&mut import("CGabion"));
    assert!(!import("NoSuchModule").output().unwrap().status.success());
}

/// Names of the C interface in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("gabion_") || word.starts_with("GABION_")).collect()
}

#[test]
fn every_name_exists() {
    let header = std::fs::read_to_string(root().join("include/gabion.h")).unwrap();
    let declared = names(&header);
    let folder = root().join("bindings/swift/Sources/Gabion");
    let mut used = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let unknown: Vec<_> = names(&text).difference(&declared).map(|name| name.to_string()).collect();
        assert!(unknown.is_empty(), "{} uses {unknown:?}", file_name(&path));
        used += names(&text).len();
    }
    assert!(used > 20, "{used} names were found");
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

//! What `make -C bindings/c install` puts down is what pkg-config and CMake look for.

use std::process::Command;

use crate::tools::{STRICT, folder, have, model, prefix, root, run};

/// pkg-config, which looks only at what was installed.
fn pkg_config(args: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")).args(args).arg("gabion");
    run(&mut command).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_layout_is_the_usual_one() {
    if !have("make") {
        return;
    }
    for file in [
        "include/gabion.h",
        "include/gabion.hpp",
        "include/gabion_embedder.hpp",
        "lib/libgabion.a",
        "lib/libgabion.so.0",
    ] {
        assert!(prefix().join(file).exists(), "{file}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let real = prefix().join("lib/libgabion.so").canonicalize().unwrap();
    assert_eq!(real.file_name().unwrap().to_str(), Some(format!("libgabion.so.{version}").as_str()));
}

#[test]
fn pkg_config_builds_the_example() {
    if !have("make") || !have("pkg-config") || !have("gcc") {
        return;
    }
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let shared = folder("bin").join("chat-pkg-config");
    let source = root().join("examples/c/chat.c");
    let flags = pkg_config(&["--cflags", "--libs"]);
    run(Command::new("gcc").args(["-std=c99"]).args(STRICT).arg(&source).arg("-o").arg(&shared).args(flags));
    let mut chat = Command::new(shared);
    chat.env("LD_LIBRARY_PATH", prefix().join("lib")).arg(model()).args(["Hello", "cpu", "4"]);
    run(&mut chat);
}

/// `Libs.private` is what the static library needs.
#[test]
fn pkg_config_links_statically() {
    if !have("make") || !have("pkg-config") || !have("gcc") {
        return;
    }
    let program = folder("bin").join("chat-static");
    let flags = pkg_config(&["--static", "--cflags", "--libs"]).into_iter();
    let flags = flags.map(|flag| if flag == "-lgabion" { "-l:libgabion.a".to_owned() } else { flag });
    let source = root().join("examples/c/chat.c");
    run(Command::new("gcc").args(["-std=c99"]).args(STRICT).arg(source).arg("-o").arg(&program).args(flags));
    run(Command::new(program).arg(model()).args(["Hello", "cpu", "4"]));
}

#[test]
fn cmake_finds_the_package() {
    if !have("make") || !have("cmake") || !have("g++") {
        return;
    }
    let source = folder("cmake");
    let project = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(consumer C CXX)\nset(CMAKE_CXX_STANDARD 11)\n\
         find_package(gabion {} REQUIRED)\n\
         add_executable(chat {root}/examples/c/chat.c)\ntarget_link_libraries(chat gabion::gabion)\n\
         add_executable(talk {root}/examples/cpp/chat.cpp)\ntarget_link_libraries(talk gabion::static)\n",
        env!("CARGO_PKG_VERSION"),
        root = root().display(),
    );
    std::fs::write(source.join("CMakeLists.txt"), project).unwrap();
    let build = source.join("build");
    let prefix_path = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
    run(Command::new("cmake").arg("-S").arg(&source).arg("-B").arg(&build).arg(prefix_path));
    run(Command::new("cmake").arg("--build").arg(&build));
    run(Command::new(build.join("chat")).arg(model()).args(["Hello", "cpu", "4"]));
    run(Command::new(build.join("talk")).arg(model()).args(["cpu", "4"]).stdin(std::process::Stdio::null()));
}

//! Programs against the library: what they check is written in them.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::tools::{compile, compile_with, encoders, folder, have, model, prefix, root, run, valgrind};

/// Compiles a program of `tests/abi`, runs it, and runs it under valgrind.
#[track_caller]
fn passes(name: &str, standard: &str) {
    passes_on(name, standard, &[model()]);
}

/// The same with these models.
#[track_caller]
fn passes_on(name: &str, standard: &str, models: &[&Path]) {
    if !have("gcc") || !have("g++") {
        return;
    }
    let program = compile(&format!("tests/abi/{name}"), standard);
    let ends_well = format!("{}: ok", name.split('.').next().unwrap());
    let printed = run(Command::new(&program).args(models));
    assert!(printed.contains(&ends_well), "{printed}");
    if have("valgrind") {
        let models: Vec<_> = models.iter().map(|model| model.as_os_str()).collect();
        let printed = run(&mut valgrind(&program, &models));
        assert!(printed.contains(&ends_well), "{printed}");
    }
}

#[test]
fn arguments() {
    passes("arguments.c", "c99");
}

#[test]
fn fit() {
    passes("fit.c", "c99");
}

#[test]
fn embed() {
    let paths = encoders();
    let models = [model(), &paths[0], &paths[1], &paths[2]];
    passes_on("embed.c", "c99", &models);
    passes_on("embedder.cpp", "c++11", &models);
}

#[test]
fn hostile() {
    passes("hostile.c", "c99");
}

#[test]
fn life() {
    passes("life.c", "c99");
}

#[test]
fn threads() {
    passes("threads.c", "c99");
}

#[test]
fn wrapper() {
    passes("wrapper.cpp", "c++11");
}

/// The checks of these programs can fail: a wrong model makes them.
#[test]
fn a_wrong_model_fails() {
    if !have("gcc") {
        return;
    }
    let path = folder("model").join("gemma3.gguf");
    std::fs::write(&path, gabion_tests::toy::gemma3().bytes()).unwrap();
    let output = Command::new(compile("tests/abi/life.c", "gnu11")).arg(path).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("life.c"));
}

#[test]
fn the_header_is_plain_c_and_cpp() {
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        for standard in ["c99", "c11", "c17"] {
            compile_with(compiler, "tests/abi/header.c", standard);
        }
    }
    // the same file as C++
    let source = folder("src").join("header.cpp");
    std::fs::copy(root().join("tests/abi/header.c"), &source).unwrap();
    for compiler in ["g++", "clang++"].into_iter().filter(|name| have(name)) {
        for standard in ["c++11", "c++17", "c++20"] {
            let program = compile_with(compiler, source.to_str().unwrap(), standard);
            run(&mut Command::new(program));
        }
    }
}

/// Names that the header declares as functions.
fn declared() -> Vec<String> {
    let header = std::fs::read_to_string(root().join("include/gabion.h")).unwrap();
    let code = header.lines().filter(|line| !line.trim_start().starts_with(['/', '*']));
    let before_parens = code.filter(|line| !line.starts_with("typedef")).filter_map(|line| line.split_once('('));
    let names = before_parens.filter_map(|(before, _)| before.rsplit([' ', '*']).next());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("gabion_")).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn the_library_exports_the_header_and_nothing_else() {
    if !have("nm") || !have("readelf") {
        return;
    }
    let library = prefix().join("lib/libgabion.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(&library));
    let mut exported: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    exported.sort();
    assert_eq!(exported, declared());
    assert!(exported.len() > 30);
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("soname: [libgabion.so.0]"), "{dynamic}");
}

#[test]
fn every_function_is_tested() {
    let folder = root().join("tests/abi");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let all: String = files.collect();
    for name in declared() {
        assert!(all.contains(&format!("{name}(")), "no program of tests/abi calls {name}");
    }
}

#[test]
fn the_c_example_answers_without_errors_or_leaks() {
    if !have("gcc") {
        return;
    }
    let program = compile("examples/c/chat.c", "c99");
    let args = [model().as_os_str(), "Hello".as_ref(), "cpu".as_ref(), "12".as_ref()];
    let answer = run(Command::new(&program).args(args));
    assert!(!answer.trim().is_empty());
    if have("valgrind") {
        // on another instruction set: valgrind has no AVX-512, and the library finds that out by itself
        run(&mut valgrind(&program, &args));
    }
    let missing = Command::new(&program).args(["missing.gguf", "Hello"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("missing.gguf"));
}

/// valgrind finds what these tests rely on it to find.
#[test]
fn valgrind_sees_a_leak() {
    if !have("gcc") || !have("valgrind") {
        return;
    }
    let source = folder("src").join("leak.c");
    let code = "#include <gabion.h>\nint main(void) { gabion_runtime *r; return gabion_runtime_new(NULL, &r); }\n";
    std::fs::write(&source, code).unwrap();
    let program = compile(source.to_str().unwrap(), "c99");
    let none: [&OsStr; 0] = [];
    assert_eq!(valgrind(&program, &none).output().unwrap().status.code(), Some(99));
}

#[test]
fn the_cpp_example_converses() {
    if !have("g++") {
        return;
    }
    let program = compile("examples/cpp/chat.cpp", "c++11");
    let input = folder("src").join("questions.txt");
    std::fs::write(&input, "Hello\nAnd then?\n\n").unwrap();
    let file = std::fs::File::open(input).unwrap();
    let output = run(Command::new(&program).arg(model()).args(["cpu", "8"]).stdin(file));
    assert!(output.lines().count() >= 2, "{output}");
}

/// Ctrl-C ends an answer, not the program.
#[test]
fn an_interrupt_ends_the_answer() {
    let Some(real) = gabion_tests::model(gabion_tests::SMOLLM2) else { return };
    if !have("gcc") || !have("kill") {
        return;
    }
    let mut command = Command::new(compile("examples/c/chat.c", "c99"));
    let prompt = "Write a long story about the sea and a lighthouse.";
    command.arg(real).args([prompt, "cpu"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut answer = vec![0];
    stdout.read_exact(&mut answer).unwrap();
    run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    stdout.read_to_end(&mut answer).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(String::from_utf8_lossy(&answer).trim_end().ends_with("[cancelled]"));
}

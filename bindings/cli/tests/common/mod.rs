//! Runs the real binary, away from the caller's environment.

#![allow(dead_code)] // each test file uses a part of this

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub(crate) const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// The binary with arguments, without gabion's environment variables, on the CPU.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gabion"));
    for name in ["MODEL", "THREADS", "EXACT", "KV"] {
        command.env_remove(format!("GABION_{name}"));
    }
    command.args(args).env("GABION_DEVICE", "cpu").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().expect("the binary starts")
}

/// Runs with `input` in a pipe on stdin.
pub(crate) fn run_with(args: &[&str], input: &str) -> Output {
    let mut child = command(args).stdin(Stdio::piped()).spawn().expect("the binary starts");
    // a program that fails early closes the pipe: that is for the caller's checks
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("stdout is UTF-8")
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("stderr is UTF-8")
}

/// stdout of a run that must succeed.
pub(crate) fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

/// The one JSON value on stdout of a run that must succeed.
pub(crate) fn json(args: &[&str]) -> Value {
    serde_json::from_str(&ok(args)).expect("stdout is one JSON value")
}

/// stderr of a run that must fail with `code`, without a panic and with nothing on stdout.
pub(crate) fn fails(code: i32, args: &[&str]) -> String {
    let output = run(args);
    let said = stderr(&output).to_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    assert_eq!(stdout(&output), "", "{args:?}");
    said
}

/// A path as an argument.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// A file of this test run that no other has.
pub(crate) fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("the scratch file can be written");
    path
}

/// A tiny model and its golden answers.
pub(crate) fn tiny(name: &str) -> Option<(PathBuf, Value)> {
    let file = gabion_tests::shared(&format!("tiny/{name}.gguf"))?;
    let golden = std::fs::read(file.with_extension("json")).expect("a golden file beside the model");
    Some((file, serde_json::from_slice(&golden).expect("JSON")))
}

pub(crate) fn ids(value: &Value) -> Vec<u64> {
    value.as_array().expect("an array").iter().map(|id| id.as_u64().expect("an id")).collect()
}

/// Ids as the argument of --ids.
pub(crate) fn ids_arg(value: &Value) -> String {
    ids(value).iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

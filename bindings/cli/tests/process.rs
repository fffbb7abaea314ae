//! How the program behaves as a process: Ctrl-C and closed pipes.
#![cfg(unix)]

mod common;

use std::io::{BufRead, Read};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use common::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("it can be killed");
    panic!("it did not end");
}

/// Generates for very long.
fn endless(path: &std::path::Path) -> Vec<&str> {
    vec!["run", "-m", arg(path), "--ids", "66,67", "--temp", "0", "--ignore-eos", "-c", "400000"]
}

#[test]
fn ctrl_c_stops_a_stream_with_130() {
    let Some((path, _)) = tiny("llama") else { return };
    let mut child = command(&endless(&path)).spawn().expect("it starts");
    let mut first = [0; 1];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("text arrives");
    // nobody reads on, and the pipe fills: the stop must not wait for room
    let mut rest = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || rest.read_to_end(&mut Vec::new()));
    interrupt(&child);
    assert_eq!(wait(&mut child).code(), Some(130));
    reader.join().expect("no panic").expect("the rest arrives");
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
    assert!(!said.contains("panicked") && !said.contains("error"), "{said}");
}

#[test]
fn ctrl_c_still_gives_a_json_object() {
    let Some((path, _)) = tiny("llama") else { return };
    let mut child = command(&[&endless(&path)[..], &["--json", "-v"]].concat()).spawn().expect("it starts");
    // -v names the seed when generation begins
    let mut said = std::io::BufReader::new(child.stderr.take().expect("piped")).lines();
    assert!(said.any(|line| line.expect("UTF-8").contains("seed")));
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(object["stop"], "cancelled");
    assert!(!object["tokens"].as_array().expect("tokens").is_empty());
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let Some((path, _)) = tiny("llama") else { return };
    for args in [endless(&path), vec!["info", "-v", arg(&path)], vec!["--help"]] {
        let mut child = command(&args).spawn().expect("it starts");
        drop(child.stdout.take());
        assert_eq!(wait(&mut child).code(), Some(0), "{args:?}");
        let mut said = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut said).expect("UTF-8");
        assert!(!said.contains("panicked") && !said.contains("error"), "{args:?}: {said}");
    }
}

#[test]
fn chat_needs_a_template() {
    let Some((path, _)) = tiny("llama") else { return };
    let said = fails(1, &["chat", "-m", arg(&path)]);
    assert!(said.contains("gabion run"), "{said}");
}

//! Conversations with a real model, through pipes.

mod common;

use common::*;

#[test]
fn chat_talks_through_a_pipe() {
    let Some(model) = gabion_tests::model(SMOLLM2) else { return };
    let lines = "/help\n/regen\nName a fruit.\n/regen\n/nonsense\n/clear\n/exit\nnever read\n";
    let output = run_with(&["chat", "-m", arg(&model), "-n", "4", "--temp", "0", "--exact", "-c", "256"], lines);
    let (out, said) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let replies: Vec<&str> = out.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(replies.len(), 2, "{out}");
    assert_eq!(replies[0], replies[1], "greedy answers the same again");
    for expected in ["/regen", "nothing to answer yet", "no command '/nonsense'", "conversation cleared", "t/s"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!out.contains('\x1b') && !said.contains('\x1b'));
}

#[test]
fn chat_with_a_real_model_stops_by_itself() {
    let Some(model) = gabion_tests::model(SMOLLM2) else { return };
    let args = [
        "run",
        "-m",
        arg(&model),
        "--temp",
        "0",
        "-n",
        "24",
        "-p",
        "Say hi.",
        "-sys",
        "Answer with one word.",
        "--json",
    ];
    let object = json(&args);
    assert_eq!(object["prompt_tokens"][0], 1, "the template starts with <|im_start|>");
    assert_eq!(object["stop"], "eog", "{object}");
}

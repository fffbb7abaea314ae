//! `run`: one prompt, one continuation or answer.

use std::io::IsTerminal;

use gabion::{ChatOptions, Message, Model};
use serde_json::{Value, json};

use crate::args::{Global, RunArgs};
use crate::failure::Failure;
use crate::generate::{Reply, generate};
use crate::load::{Loaded, input_text, input_tokens, load};
use crate::output;

pub(crate) fn run(global: &Global, args: &RunArgs) -> Result<(), Failure> {
    global.model()?;
    let text = if args.ids.is_some() { String::new() } else { input_text(&args.input)? };
    let loaded = load(global)?;
    let tokens = prompt(&loaded.model, args, text)?;
    let mut options = args.sampling.options();
    options.logprobs = args.logprobs;
    log::info!("seed {}", options.sampler.seed);
    let mut session = loaded.model.session(&args.context.options(global))?;
    let reply = generate(&mut session, &tokens, &options, |text| stream(args, text))?;
    if args.json {
        output::json(&object(&loaded, &tokens, &reply))?;
    } else {
        finish(global, &reply)?;
    }
    if reply.cancelled() { Err(Failure::Interrupted) } else { Ok(()) }
}

fn prompt(model: &Model, args: &RunArgs, text: String) -> Result<Vec<u32>, Failure> {
    if !args.chat && args.system_prompt.is_none() {
        return input_tokens(model, args.ids.as_ref(), &text, &args.parsing);
    }
    let system = args.system_prompt.clone().map(|content| Message::new("system", content));
    let messages: Vec<Message> = system.into_iter().chain([Message::new("user", text)]).collect();
    Ok(model.chat_tokens(&messages, &ChatOptions::default())?)
}

fn stream(args: &RunArgs, text: &str) -> Result<(), Failure> {
    if args.json { Ok(()) } else { output::generated(text) }
}

/// Ends the last line, and tells a person how fast it was.
fn finish(global: &Global, reply: &Reply) -> Result<(), Failure> {
    if !reply.text.ends_with('\n') {
        output::text("\n")?;
    }
    if std::io::stderr().is_terminal() || global.verbose > 0 {
        output::note(&reply.rates());
    }
    Ok(())
}

fn object(loaded: &Loaded, prompt: &[u32], reply: &Reply) -> Value {
    let tokens = reply.tokens.iter().map(|(token, text)| {
        let top: Vec<Value> = token.top.iter().map(|&(id, logprob)| json!([id, output::number(logprob)])).collect();
        json!({"id": token.id, "text": text, "logprob": output::number(token.logprob), "top": top})
    });
    json!({
        "device": loaded.model.device().name,
        "prompt_tokens": prompt,
        "tokens": tokens.collect::<Vec<_>>(),
        "text": reply.text,
        "stop": reply.stop,
        "timings": {
            "load_ms": output::rounded(loaded.time.as_secs_f64() * 1e3, 3),
            "prefill_tokens": reply.prefill.tokens,
            "prefill_ms": output::rounded(reply.prefill.ms(), 3),
            "decode_tokens": reply.decode.tokens,
            "decode_ms": output::rounded(reply.decode.ms(), 3),
        },
    })
}

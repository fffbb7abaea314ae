//! Answers one question with a model's chat template, streaming.
//!
//!     cargo run --release -p gabion --example chat -- model.gguf "Why is the sky blue?" [DEVICE [MAX_TOKENS]]

use std::io::Write;
use std::path::Path;

use gabion::{
    ChatOptions, GenerateOptions, Message, Model, ModelOptions, Progress, Runtime, RuntimeOptions, SamplerOptions,
    SessionOptions,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(question)) = (args.next(), args.next()) else {
        return Err("usage: chat MODEL.gguf QUESTION [DEVICE [MAX_TOKENS]]".into());
    };
    let device = args.next().unwrap_or_else(|| "auto".into());
    let max_tokens = args.next().map(|n| n.parse()).transpose()?;

    let runtime = Runtime::new(&RuntimeOptions { device, ..Default::default() })?;
    let model = Model::open(Path::new(&path), &runtime, &ModelOptions::default(), &mut progress)?;
    eprintln!("\r{}", model.device().name);
    let mut session = model.session(&SessionOptions::default())?;

    let tokens = if model.has_chat_template() {
        model.chat_tokens(&[Message::new("user", question)], &ChatOptions::default())?
    } else {
        model.tokenize(&question, true, false)?
    };
    let options = GenerateOptions { max_tokens, sampler: SamplerOptions::greedy(), ..Default::default() };
    let (mut generation, _) = session.generate(&tokens, &options)?;
    while let Some(piece) = generation.next()? {
        print!("{}", piece.text);
        std::io::stdout().flush()?;
    }
    println!();
    Ok(())
}

fn progress(Progress { loaded, total }: Progress) -> bool {
    eprint!("\rloading {:3.0} %", 100.0 * loaded as f64 / total.max(1) as f64);
    true
}

//! `embed`: a vector of every line, by an encoder.

use gabion::{Embedder, EmbedderOptions, Pooling, TextKind};
use serde_json::{Value, json};

use crate::args::{EmbedArgs, Global};
use crate::failure::Failure;
use crate::generate::check_interrupt;
use crate::load::{counter, input_text, load};
use crate::{interrupt, output};

/// Lines between two looks at the progress.
pub(crate) const GROUP: usize = 64;

pub(crate) fn embed(global: &Global, args: &EmbedArgs) -> Result<(), Failure> {
    global.model()?;
    let text = input_text(&args.input)?;
    let options = EmbedderOptions {
        pooling: args.pooling.map(Into::into),
        normalize: !args.raw,
        dimensions: args.dimensions,
        query_prefix: args.prefix.clone(),
        ..args.texts.options()
    };
    let mut embedder = embedder(global, &options)?;
    let mut vectors = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    in_groups(&lines, |group| {
        let made = embedder.embed(group, TextKind::Query)?;
        match args.json {
            true => vectors.extend(made),
            false => made.iter().try_for_each(|vector| output::line(&numbers(vector)))?,
        }
        Ok(())
    })?;
    if args.json { output::json(&json(&embedder, &vectors)) } else { Ok(()) }
}

/// Loads the model; Ctrl-C stops what its embedder does.
pub(crate) fn embedder(global: &Global, options: &EmbedderOptions) -> Result<Embedder, Failure> {
    let embedder = load(global)?.model.embedder(options)?;
    interrupt::watch(embedder.cancel_flag());
    Ok(embedder)
}

/// Hands lines over in groups, with a progress bar on a terminal.
pub(crate) fn in_groups<'a>(
    lines: &[&'a str],
    mut each: impl FnMut(&[&'a str]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if lines.is_empty() {
        return Err(Failure::Usage("no text: every line is one".into()));
    }
    let bar = counter("texts", lines.len());
    for group in lines.chunks(GROUP) {
        check_interrupt()?;
        bar.suspend(|| each(group))?;
        bar.inc(group.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

fn numbers(vector: &[f32]) -> String {
    vector.iter().map(f32::to_string).collect::<Vec<_>>().join(" ")
}

/// An array of numbers.
pub(crate) fn array(numbers: &[f32]) -> Value {
    numbers.iter().map(|&x| output::number(x)).collect()
}

fn json(embedder: &Embedder, vectors: &[Vec<f32>]) -> Value {
    let pooling = match embedder.pooling() {
        Pooling::None => "none",
        Pooling::Mean => "mean",
        Pooling::First => "cls",
        Pooling::Last => "last",
    };
    let all: Value = vectors.iter().map(|vector| array(vector)).collect();
    json!({ "dimensions": embedder.dimensions(), "pooling": pooling, "embeddings": all })
}

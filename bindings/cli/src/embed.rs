//! `embed`: a vector of every line, by an encoder.

use gabion::{Embedder, EmbedderOptions};
use serde_json::{Value, json};

use crate::args::{EmbedArgs, Global};
use crate::failure::Failure;
use crate::generate::check_interrupt;
use crate::load::{input_text, load};
use crate::{interrupt, output};

pub(crate) fn embed(global: &Global, args: &EmbedArgs) -> Result<(), Failure> {
    global.model()?;
    let text = input_text(&args.input)?;
    let model = load(global)?.model;
    let options = EmbedderOptions {
        max_tokens: args.max_tokens,
        pooling: args.pooling.map(Into::into),
        normalize: !args.raw,
        dimensions: args.dimensions,
        truncate: args.truncate,
    };
    let mut embedder = model.embedder(&options)?;
    interrupt::watch(embedder.cancel_flag());
    let mut vectors = Vec::new();
    for line in text.lines() {
        check_interrupt()?;
        let vector = embedder.embed(&format!("{}{line}", args.prefix))?;
        if args.json {
            vectors.push(vector);
        } else {
            let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
            output::line(&numbers.join(" "))?;
        }
    }
    if args.json { output::json(&json(&embedder, &vectors)) } else { Ok(()) }
}

fn json(embedder: &Embedder, vectors: &[Vec<f32>]) -> Value {
    let vector = |vector: &Vec<f32>| vector.iter().map(|&x| output::number(x)).collect::<Value>();
    let all: Value = vectors.iter().map(vector).collect();
    json!({ "dimensions": embedder.dimensions(), "embeddings": all })
}

//! `score`: how likely each token of a text is, given those before it.

use gabion::Model;
use serde_json::{Value, json};

use crate::args::{Global, ScoreArgs};
use crate::failure::Failure;
use crate::generate::interruptible;
use crate::load::{input_text, input_tokens, load};
use crate::output;

pub(crate) fn score(global: &Global, args: &ScoreArgs) -> Result<(), Failure> {
    global.model()?;
    let text = if args.ids.is_some() { String::new() } else { input_text(&args.input)? };
    let model = load(global)?.model;
    let tokens = input_tokens(&model, args.ids.as_ref(), &text, &args.parsing)?;
    let mut options = args.context.options(global);
    if options.n_ctx == 0 {
        options.n_ctx = tokens.len().max(1);
    }
    let nll = interruptible(&mut model.session(&options)?, |session| session.score(&tokens))?;
    if args.json {
        let nll: Vec<Value> = nll.iter().map(|&v| output::number(v)).collect();
        output::json(&json!({ "tokens": tokens, "nll": nll }))
    } else {
        table(&model, &tokens, &nll)
    }
}

fn table(model: &Model, tokens: &[u32], nll: &[f32]) -> Result<(), Failure> {
    let piece = |id: u32| model.detokenize(&[id], true).map_or_else(|_| String::new(), |text| output::quoted(&text));
    let first = tokens.first().map(|&id| format!("{:>10}  {id:>6}  {}", "-", piece(id)));
    let rest = tokens.iter().skip(1).zip(nll).map(|(&id, nll)| format!("{nll:>10.5}  {id:>6}  {}", piece(id)));
    for line in first.into_iter().chain(rest) {
        output::line(&line)?;
    }
    if nll.is_empty() {
        return Ok(());
    }
    let mean = nll.iter().map(|&v| f64::from(v)).sum::<f64>() / nll.len() as f64;
    output::line(&format!("mean nll {mean:.5} over {} tokens, perplexity {:.4}", nll.len(), mean.exp()))
}

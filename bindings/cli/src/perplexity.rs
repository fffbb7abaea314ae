//! `perplexity`: llama.cpp's method, so that its numbers compare. The text is cut into windows; each starts afresh (with
//! BOS, where the model wants one), and only its second half is scored, where every token has some context.

use gabion::{Model, Session, SessionOptions};
use serde_json::json;

use crate::args::{Global, PerplexityArgs};
use crate::failure::Failure;
use crate::generate::interruptible;
use crate::load::{input_text, load};
use crate::output;

pub(crate) fn perplexity(global: &Global, args: &PerplexityArgs) -> Result<(), Failure> {
    global.model()?;
    let text = input_text(&args.input)?;
    let model = load(global)?.model;
    let tokens = model.tokenize(&text, true, false)?;
    let chunks = chunk_count(tokens.len(), args)?;
    let options = SessionOptions { n_ctx: args.ctx_size, n_batch: args.batch_size, kv: global.kv() };
    let mut session = model.session(&options)?;
    let batch = if args.batch_size == 0 { model.device().preferred_batch } else { args.batch_size };
    output::note(&format!(
        "perplexity: calculating perplexity over {chunks} chunks, n_ctx={}, batch_size={}, n_seq=1",
        args.ctx_size,
        batch.min(args.ctx_size)
    ));
    let bos = bos(&model)?;
    let mut estimate = Estimate::default();
    for (i, window) in tokens.chunks_exact(args.ctx_size).take(chunks).enumerate() {
        estimate.extend(&second_half(&mut session, window, bos)?);
        if !args.json {
            output::text(&format!("[{}]{:.4},", i + 1, estimate.ppl()))?;
        }
    }
    finish(&estimate, chunks, args.json)
}

fn chunk_count(n_tokens: usize, args: &PerplexityArgs) -> Result<usize, Failure> {
    if n_tokens < 2 * args.ctx_size {
        let (need, have) = (2 * args.ctx_size, n_tokens);
        let advice = format!("the text has {have} tokens, two windows need {need}; give a longer text or a smaller -c");
        return Err(Failure::Other(advice));
    }
    let all = n_tokens / args.ctx_size;
    match usize::try_from(args.chunks) {
        Ok(0) => Err(Failure::Usage("--chunks 0 computes nothing".into())),
        Ok(wanted) => Ok(wanted.min(all)),
        Err(_) => Ok(all),
    }
}

/// The token that starts every window, where the tokenizer adds one to texts.
fn bos(model: &Model) -> Result<Option<u32>, Failure> {
    let tokenizer = model.tokenizer()?;
    Ok(tokenizer.bos().filter(|_| tokenizer.add_bos()))
}

/// Negative log-likelihoods of the window's second half.
fn second_half(session: &mut Session, window: &[u32], bos: Option<u32>) -> Result<Vec<f32>, Failure> {
    let mut window = window.to_vec();
    window[0] = bos.unwrap_or(window[0]);
    let nll = interruptible(session, |session| session.score(&window))?;
    Ok(nll[window.len() / 2..].to_vec())
}

#[derive(Default)]
struct Estimate {
    count: usize,
    sum: f64,
    squares: f64,
}

impl Estimate {
    fn extend(&mut self, nll: &[f32]) {
        for v in nll.iter().map(|&v| f64::from(v)) {
            self.count += 1;
            self.sum += v;
            self.squares += v * v;
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    fn ppl(&self) -> f64 {
        self.mean().exp()
    }

    /// Standard error of the perplexity, from that of the mean.
    fn error(&self) -> f64 {
        let variance = self.squares / self.count as f64 - self.mean() * self.mean();
        (variance.max(0.0) / (self.count - 1) as f64).sqrt() * self.ppl()
    }
}

fn finish(estimate: &Estimate, chunks: usize, as_json: bool) -> Result<(), Failure> {
    if !as_json {
        return output::line(&format!("\nFinal estimate: PPL = {:.4} +/- {:.5}", estimate.ppl(), estimate.error()));
    }
    let (ppl, error) = (output::rounded(estimate.ppl(), 6), output::rounded(estimate.error(), 6));
    output::json(&json!({ "ppl": ppl, "stderr": error, "tokens": estimate.count, "chunks": chunks }))
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn error_is_that_of_the_mean() {
        let mut estimate = Estimate::default();
        estimate.extend(&[1.0, 2.0, 3.0]);
        assert!((estimate.ppl() - 2f64.exp()).abs() < 1e-12);
        assert!((estimate.error() - (2.0 / 3.0 / 2.0f64).sqrt() * 2f64.exp()).abs() < 1e-12);
    }
}

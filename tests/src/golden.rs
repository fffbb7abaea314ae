//! Golden files, and comparisons with them. Another engine made them in float32 from the same weights.

use std::path::Path;

use gabion::sample::{argmax, log_sum_exp};
use serde::Deserialize;

/// Golden outputs of a tiny model (shared/tiny).
#[derive(Debug, Deserialize)]
pub struct Tiny {
    /// `general.architecture`.
    pub arch: String,
    /// `decoder`, `encoder` or `seq2seq`.
    pub kind: String,
    /// Runs.
    pub prompts: Vec<serde_json::Value>,
}

/// One run of a tiny decoder.
#[derive(Debug, Deserialize)]
pub struct TinyPrompt {
    /// Input tokens.
    pub ids: Vec<u32>,
    /// Positions that the session has to have (LongRoPE chooses by it).
    pub n_ctx: Option<usize>,
    /// Every logit after the last of them.
    pub last_logits: Vec<f32>,
    /// The most likely token at every position.
    pub argmax: Vec<u32>,
    /// By how much it leads there.
    pub argmax_margin: Vec<f32>,
    /// ln Σ exp of the logits at every position.
    pub logsumexp: Vec<f64>,
    /// Greedy continuation.
    pub greedy: Vec<u32>,
    /// By how much each of its tokens leads.
    pub greedy_margin: Vec<f32>,
}

/// A text of an encoder.
#[derive(Debug, Deserialize)]
pub struct TinyText {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// The states of the first two.
    pub token_embeddings: Vec<Vec<f32>>,
    /// The length of every token's state.
    pub token_norms: Vec<f32>,
    /// The mean of all states.
    pub pooled_mean: Vec<f32>,
}

/// A text of an encoder-decoder, and the answer.
#[derive(Debug, Deserialize)]
pub struct TinyAnswer {
    /// The encoder's tokens.
    pub encoder_ids: Vec<u32>,
    /// The decoder's first token.
    pub decoder_start: u32,
    /// Every logit after it.
    pub first_logits: Vec<f32>,
    /// Every logit from which the last greedy token comes.
    pub last_logits: Vec<f32>,
    /// ln Σ exp of the logits of every greedy token.
    pub logsumexp: Vec<f64>,
    /// Greedy answer.
    pub greedy: Vec<u32>,
    /// By how much each of its tokens leads.
    pub greedy_margin: Vec<f32>,
}

/// One run of a real model (shared/golden).
#[derive(Debug, Deserialize)]
pub struct Real {
    /// What the prompt is.
    pub name: String,
    /// The prompt.
    pub text: String,
    /// Its tokens, special ones included.
    pub prompt_ids: Vec<u32>,
    /// -ln p of token i+1 after tokens 0..=i.
    pub prompt_nll: Vec<f32>,
    /// Greedy continuation.
    pub greedy: Vec<Step>,
    /// Its text.
    pub greedy_text: String,
}

/// A step of a greedy continuation.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// The most likely token.
    pub id: u32,
    /// The ten most likely tokens with their log-probabilities.
    pub top: Vec<(u32, f32)>,
}

/// Reads a golden file.
pub fn load<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Σ (want - got)² / Σ want². Infinite where one is not finite or the lengths differ, so that it fails every limit.
pub fn nmse(want: &[f32], got: &[f32]) -> f64 {
    if want.len() != got.len() || want.is_empty() {
        return f64::INFINITY;
    }
    let square = |x: f64| x * x;
    let error: f64 = want.iter().zip(got).map(|(&w, &g)| square(f64::from(w) - f64::from(g))).sum();
    let size: f64 = want.iter().map(|&w| square(f64::from(w))).sum();
    let ratio = error / size;
    if ratio.is_finite() { ratio } else { f64::INFINITY }
}

/// What is wrong with the logits at position `i` of a tiny prompt: its most likely token, where that leads by more than
/// `tolerance`, and ln Σ exp within `tolerance`.
pub fn position(prompt: &TinyPrompt, i: usize, logits: &[f32], tolerance: f32) -> Option<String> {
    let (best, sum) = (argmax(logits), log_sum_exp(logits));
    if best != Some(prompt.argmax[i]) && prompt.argmax_margin[i] > tolerance {
        return Some(format!("position {i}: {best:?} leads, not {}", prompt.argmax[i]));
    }
    let off = (sum - prompt.logsumexp[i]).abs();
    (off.is_nan() || off > f64::from(tolerance)).then(|| format!("position {i}: ln Σ exp is off by {off:.1e}"))
}

/// How many greedy tokens can be asked for: those before the first whose lead is within `tolerance`.
pub fn certain(margins: &[f32], tolerance: f32) -> usize {
    margins.iter().position(|&margin| margin < tolerance).unwrap_or(margins.len())
}

/// The largest |Δ log-probability| over the ten most likely tokens of a step. NaN counts as infinite.
pub fn top_off(step: &Step, logits: &[f32]) -> f32 {
    let norm = log_sum_exp(logits);
    let off = |&(id, want): &(u32, f32)| (f64::from(logits[id as usize]) - norm - f64::from(want)).abs() as f32;
    step.top.iter().map(off).fold(0.0, worse)
}

/// The largest |Δ| of two lists; infinite where lengths differ or one is NaN.
pub fn largest_off(want: &[f32], got: &[f32]) -> f32 {
    if want.len() != got.len() {
        return f32::INFINITY;
    }
    want.iter().zip(got).map(|(w, g)| (w - g).abs()).fold(0.0, worse)
}

fn worse(a: f32, b: f32) -> f32 {
    if b.is_nan() { f32::INFINITY } else { a.max(b) }
}

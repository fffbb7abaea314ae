//! What classifiers and masked language models make of texts.

use super::{Embedder, MAX_MASKS, Text, Wanted};
use crate::arch::{Pooling, Task};
use crate::error::{Error, Result};
use crate::sample::log_sum_exp;

/// A guess at a masked token.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// Its id.
    pub token: u32,
    /// Its text.
    pub text: String,
    /// Its probability.
    pub probability: f32,
}

impl Embedder {
    /// The names of a classifier's scores; empty where the file has none.
    pub fn labels(&self) -> &[String] {
        &self.model.spec().labels
    }

    /// How many scores a classifier gives; 0 where there is none.
    pub fn scores(&self) -> usize {
        if self.task() == Task::Score { self.model.plan().n_vocab } else { 0 }
    }

    /// What a classifier says of each text, or pair of texts: a number for each label, as the model gives it (a logit).
    pub async fn classify_async<S: AsRef<str>>(&mut self, texts: &[(S, Option<S>)]) -> Result<Vec<Vec<f32>>> {
        self.begin(Task::Score)?;
        let prepare = |(first, second): &(S, Option<S>)| match second {
            None => self.prepare(first.as_ref()),
            Some(second) => self.prepare_pair(first.as_ref(), second.as_ref()),
        };
        let texts = texts.iter().map(prepare).collect::<Result<Vec<_>>>()?;
        self.scores_of(&texts).await
    }

    /// How well each document answers the query: higher is better. The number is the model's own, a logit; of a model that
    /// says yes or no (Qwen3-Reranker), the probability of yes.
    pub async fn rerank_async<S: AsRef<str>>(&mut self, query: &str, documents: &[S]) -> Result<Vec<f32>> {
        self.begin(Task::Score)?;
        let yes = self.labels() == ["yes", "no"];
        if self.scores() != 1 && !yes {
            let n = self.scores();
            return Err(Error::Unsupported(format!("reranking by a classifier of {n} labels: ask for its scores")));
        }
        let prepare = |document: &S| self.prepare_pair(query, document.as_ref());
        let texts = documents.iter().map(prepare).collect::<Result<Vec<_>>>()?;
        let scores = self.scores_of(&texts).await?;
        let one = |scores: &Vec<f32>| if yes { 1.0 / (1.0 + (scores[1] - scores[0]).exp()) } else { scores[0] };
        Ok(scores.iter().map(one).collect())
    }

    async fn scores_of(&mut self, texts: &[Text]) -> Result<Vec<Vec<f32>>> {
        let last = self.model.spec().pooling == Some(Pooling::Last);
        self.run(texts, if last { Wanted::Last } else { Wanted::First }, <[f32]>::to_vec).await
    }

    /// The likeliest tokens in each masked place of a text, in order; places are written as the mask token (`[MASK]`).
    pub async fn fill_mask_async(&mut self, text: &str, top: usize) -> Result<Vec<Vec<Filled>>> {
        self.begin(Task::Fill)?;
        let tokenizer = self.model.tokenizer()?.clone();
        let mask = tokenizer.mask().ok_or_else(|| Error::Tokenizer("the vocabulary has no mask token".into()))?;
        let text = self.prepare_masked(text, mask)?;
        let width = self.model.plan().n_vocab;
        let mut places = self
            .run(&[text], Wanted::Token(mask), |logits| {
                let places = logits.chunks_exact(width);
                places.map(|logits| likeliest(logits, top)).collect::<Vec<_>>()
            })
            .await?;
        let guess = |(token, probability)| Filled { token, text: tokenizer.decode(&[token], true), probability };
        let places = places.pop().unwrap_or_default().into_iter();
        Ok(places.map(|tokens| tokens.into_iter().map(guess).collect()).collect())
    }

    fn prepare_masked(&self, text: &str, mask: u32) -> Result<Text> {
        // masks are control tokens, and nothing else is read from this text that could be forged
        let tokens = self.model.tokenize(text, true, true)?;
        let masks = tokens.iter().filter(|&&token| token == mask).count();
        if !(1..=MAX_MASKS).contains(&masks) {
            return Err(Error::InvalidArgument(format!("{masks} masks in a text; 1 to {MAX_MASKS} are possible")));
        }
        Ok(Text { tokens, second: None })
    }

    /// The tokens of a pair; where it is too long and may be cut, the second text is.
    fn prepare_pair(&self, first: &str, second: &str) -> Result<Text> {
        self.cancel.check()?;
        let tokenizer = self.model.tokenizer()?;
        let (first, mut second) = (tokenizer.encode(first, false, false)?, tokenizer.encode(second, false, false)?);
        let limit = self.options.max_tokens;
        let (tokens, _) = tokenizer.pair(&first, &second);
        if self.options.truncate && tokens.len() > limit {
            second.truncate(second.len().saturating_sub(tokens.len() - limit));
        }
        let (tokens, start) = tokenizer.pair(&first, &second);
        Ok(Text { tokens, second: Some(start) })
    }
}

/// The `top` likeliest tokens with their probabilities.
fn likeliest(logits: &[f32], top: usize) -> Vec<(u32, f32)> {
    let sum = log_sum_exp(logits);
    let mut all: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(top);
    all.iter().map(|&(token, logit)| (token, (f64::from(logit) - sum).exp() as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first() {
        let found = likeliest(&[0.0, 2f32.ln(), 1f32.ln()], 2);
        assert_eq!(found.iter().map(|found| found.0).collect::<Vec<_>>(), [1, 0]);
        assert!((found[0].1 - 0.5).abs() < 1e-6 && (found[1].1 - 0.25).abs() < 1e-6, "{found:?}");
    }
}

//! Generation: samples token after token from a session until something says stop, and streams text that is whole.

use crate::device::{Candidates, MAX_CANDIDATES, Step};
use crate::error::{Error, Result};
use crate::sample::{Sampler, SamplerOptions, likeliest, log_sum_exp, top_logprobs};
use crate::session::{Session, Synced};
use crate::text::Detokenizer;

/// Most stop strings, and most bytes of one.
const MAX_STOPS: usize = 64;
const MAX_STOP_BYTES: usize = 4096;

/// How to generate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateOptions {
    /// Most tokens to generate; `None` until the context is full.
    pub max_tokens: Option<usize>,
    /// How to pick tokens.
    pub sampler: SamplerOptions,
    /// Texts that end generation; they are not part of the output.
    pub stop: Vec<String>,
    /// Whether to go on past end-of-generation tokens.
    pub ignore_eog: bool,
    /// How many of the most likely tokens to report at each step.
    pub logprobs: usize,
}

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended its turn.
    EndOfGeneration,
    /// A stop string was produced.
    StopString,
    /// `max_tokens` were generated.
    MaxTokens,
    /// The context is full.
    ContextFull,
}

impl StopReason {
    /// Its name in JSON and in other languages.
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::EndOfGeneration => "eog",
            StopReason::StopString => "stop",
            StopReason::MaxTokens => "length",
            StopReason::ContextFull => "context",
        }
    }
}

/// A generated token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Its log-probability under the model, before sampling options; NaN unless `logprobs` > 0.
    pub logprob: f32,
    /// The most likely tokens with their log-probabilities, as many as `logprobs` asked for.
    pub top: Vec<(u32, f32)>,
}

/// One step of a generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The token; `None` in a last piece that only brings held-back text.
    pub token: Option<Token>,
    /// Text that is certain now: it ends at a whole character and holds no part of a stop string. May be empty, and may
    /// belong to earlier tokens.
    pub text: String,
}

/// A running generation. It borrows its session; the session keeps every token that was generated, and may be used again
/// after it is dropped.
pub struct Generation<'s> {
    session: &'s mut Session,
    options: GenerateOptions,
    sampler: Sampler,
    /// How the device picks tokens, where it can and the sampler needs no more than it gives.
    picking: Option<Step>,
    picked: Candidates,
    detokenizer: Option<Detokenizer>,
    held: String,
    generated: usize,
    /// The last token picked, not yet in the session.
    pending: Option<u32>,
    stop: Option<StopReason>,
    flushed: bool,
}

impl Session {
    /// Makes the context `tokens` and starts to generate after them; or, where the model has an encoder, gives them to it and
    /// starts to generate in answer to them.
    pub async fn generate_async(
        &mut self,
        tokens: &[u32],
        options: &GenerateOptions,
    ) -> Result<(Generation<'_>, Synced)> {
        check(options)?;
        let sampler = Sampler::new(options.sampler)?;
        let synced = match self.model().decoder_start() {
            None => self.sync_async(tokens).await?,
            Some(start) => {
                let read = self.encode_async(tokens).await?;
                let begun = self.sync_async(&[start]).await?;
                Synced { reused: read.reused + begun.reused, computed: read.computed + begun.computed }
            }
        };
        // a model without a tokenizer generates ids without text
        let detokenizer = self.model().tokenizer().ok().map(|t| Detokenizer::new(t, false));
        let options = options.clone();
        let picking = picking(&options, &sampler).filter(|_| self.picks());
        let generation = Generation {
            session: self,
            options,
            sampler,
            picking,
            picked: Candidates::default(),
            detokenizer,
            held: String::new(),
            generated: 0,
            pending: None,
            stop: None,
            flushed: false,
        };
        Ok((generation, synced))
    }

    /// `generate_async`, waiting for the prompt to be computed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate(&mut self, tokens: &[u32], options: &GenerateOptions) -> Result<(Generation<'_>, Synced)> {
        pollster::block_on(self.generate_async(tokens, options))
    }
}

fn check(options: &GenerateOptions) -> Result<()> {
    let fine = |stop: &String| !stop.is_empty() && stop.len() <= MAX_STOP_BYTES;
    if options.stop.len() > MAX_STOPS || !options.stop.iter().all(fine) {
        let limits = format!("at most {MAX_STOPS} stop strings of 1 to {MAX_STOP_BYTES} bytes");
        return Err(Error::InvalidArgument(limits));
    }
    Ok(())
}

/// What the device is to pick, token and position aside; `None` if that is more than it can.
fn picking(options: &GenerateOptions, sampler: &Sampler) -> Option<Step> {
    let top = sampler.needs()?.max(options.logprobs);
    let step = Step { token: 0, pos: 0, top, log_sum: options.logprobs > 0, ahead: 0 };
    (top <= MAX_CANDIDATES).then_some(step)
}

impl Generation<'_> {
    /// The next piece, or `None` at the end. After an error generation is over; the session stays usable.
    pub async fn next_async(&mut self) -> Result<Option<Piece>> {
        if self.stop.is_some() {
            return Ok(self.flush());
        }
        if let Some(reason) = self.limit() {
            self.stop = Some(reason);
            return Ok(self.flush());
        }
        let token = self.pick().await?;
        let id = token.id;
        self.generated += 1;
        if !self.options.ignore_eog && self.session.model().tokenizer().is_ok_and(|t| t.is_eog(id)) {
            self.stop = Some(StopReason::EndOfGeneration);
            let text = self.take_rest();
            return Ok(Some(Piece { token: Some(token), text }));
        }
        self.pending = Some(id);
        let text = self.push(id);
        Ok(Some(Piece { token: Some(token), text }))
    }

    /// `next_async`, waiting for it.
    #[cfg(not(target_arch = "wasm32"))]
    #[allow(clippy::should_implement_trait)] // an iterator could not borrow the session between items
    pub fn next(&mut self) -> Result<Option<Piece>> {
        pollster::block_on(self.next_async())
    }

    /// Why it ended; `None` while it has not.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop
    }

    /// Tokens generated so far.
    pub fn generated(&self) -> usize {
        self.generated
    }

    fn limit(&self) -> Option<StopReason> {
        if self.options.max_tokens.is_some_and(|max| self.generated >= max) {
            return Some(StopReason::MaxTokens);
        }
        let full = self.session.tokens().len() + usize::from(self.pending.is_some()) > self.session.n_ctx();
        full.then_some(StopReason::ContextFull)
    }

    /// Computes the pending token and picks the next one.
    async fn pick(&mut self) -> Result<Token> {
        match (self.pending.take(), self.picking) {
            (Some(token), Some(step)) => {
                let step = Step { token, ahead: self.ahead(), ..step };
                self.session.pick_async(step, &mut self.picked).await?;
                let id = self.sampler.pick_among(self.picked.tokens.iter().copied())?;
                Ok(self.describe_picked(id))
            }
            (pending, _) => {
                if let Some(token) = pending {
                    self.session.step_async(token).await?;
                }
                let id = self.sampler.pick(self.session.logits())?;
                Ok(self.describe(id))
            }
        }
    }

    /// Further tokens that will be computed, as far as is known: none where the next one is drawn.
    fn ahead(&self) -> usize {
        let most = self.options.max_tokens.map_or(usize::MAX, |most| most - self.generated - 1);
        if self.sampler.needs() == Some(1) { most } else { 0 }
    }

    fn describe(&self, id: u32) -> Token {
        let logits = self.session.logits();
        if self.options.logprobs == 0 {
            return Token { id, logprob: f32::NAN, top: Vec::new() };
        }
        let logprob = (f64::from(logits[id as usize]) - log_sum_exp(logits)) as f32;
        Token { id, logprob, top: top_logprobs(logits, self.options.logprobs) }
    }

    fn describe_picked(&self, id: u32) -> Token {
        let Candidates { tokens, log_sum, .. } = &self.picked;
        if self.options.logprobs == 0 {
            return Token { id, logprob: f32::NAN, top: Vec::new() };
        }
        let logit = tokens.iter().find(|c| c.0 == id).map_or(f32::NAN, |c| c.1);
        let top = likeliest(tokens.iter().copied(), *log_sum, self.options.logprobs);
        Token { id, logprob: (f64::from(logit) - log_sum) as f32, top }
    }

    /// Text that token `id` makes certain. Ends generation if it completes a stop string.
    fn push(&mut self, id: u32) -> String {
        let Some(detokenizer) = &mut self.detokenizer else { return String::new() };
        let text = detokenizer.push(id);
        self.held.push_str(&text);
        if let Some(at) = self.options.stop.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.stop = Some(StopReason::StopString);
            self.flushed = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = self.options.stop.iter().map(|stop| partial_match(&self.held, stop)).max().unwrap_or(0);
        let ready = self.held.len() - keep;
        let tail = self.held.split_off(ready);
        std::mem::replace(&mut self.held, tail)
    }

    /// All text still held back.
    fn take_rest(&mut self) -> String {
        self.flushed = true;
        let mut text = std::mem::take(&mut self.held);
        text.extend(self.detokenizer.as_mut().map(|d| d.finish()));
        text
    }

    fn flush(&mut self) -> Option<Piece> {
        if self.flushed {
            return None;
        }
        let text = self.take_rest();
        (!text.is_empty()).then_some(Piece { token: None, text })
    }
}

/// Bytes at the end of `text` that could be the start of `stop`.
fn partial_match(text: &str, stop: &str) -> usize {
    let most = text.len().min(stop.len() - 1);
    let fits = |n: &usize| stop.as_bytes().starts_with(&text.as_bytes()[text.len() - n..]);
    (1..=most).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::partial_match;

    #[test]
    fn holds_back_the_longest_possible_start() {
        assert_eq!(partial_match("one two", "two three"), 3);
        assert_eq!(partial_match("aaa", "aab"), 2);
        assert_eq!(partial_match("x", "y"), 0);
        assert_eq!(partial_match("", "y"), 0);
    }
}

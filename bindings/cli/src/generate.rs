//! One generation with its timings, for `run` and `chat`.

use std::time::{Duration, Instant};

use gabion::{Error, GenerateOptions, Session, Synced, Token};

use crate::failure::Failure;
use crate::interrupt;

/// What a generation produced.
#[derive(Default)]
pub(crate) struct Reply {
    /// Each token with the text that became certain with it.
    pub(crate) tokens: Vec<(Token, String)>,
    /// All text.
    pub(crate) text: String,
    /// Why it ended: a `StopReason`'s name, or `cancelled` after Ctrl-C.
    pub(crate) stop: &'static str,
    pub(crate) prefill: Phase,
    pub(crate) decode: Phase,
}

/// Tokens computed by the model and the time that took. The first generated token comes with the prompt's last logits, so
/// `n` tokens take `n - 1` steps of decoding.
#[derive(Clone, Copy, Default)]
pub(crate) struct Phase {
    pub(crate) tokens: usize,
    pub(crate) time: Duration,
}

impl Phase {
    pub(crate) fn ms(self) -> f64 {
        self.time.as_secs_f64() * 1e3
    }

    fn rate(self) -> f64 {
        self.tokens as f64 / self.time.as_secs_f64().max(1e-9)
    }
}

impl Reply {
    pub(crate) fn cancelled(&self) -> bool {
        self.stop == "cancelled"
    }

    /// One line of rates, for people.
    pub(crate) fn rates(&self) -> String {
        let (prefill, decode) = (self.prefill, self.decode);
        let prompt = format!("prompt {} tokens, {:.1} t/s", prefill.tokens, prefill.rate());
        format!("[{prompt} | generation {} tokens, {:.1} t/s]", self.tokens.len(), decode.rate())
    }
}

/// Generates after `tokens`, handing text to `show` as soon as it is certain. Ctrl-C ends it early, without an error.
pub(crate) fn generate(
    session: &mut Session,
    tokens: &[u32],
    options: &GenerateOptions,
    mut show: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Reply, Failure> {
    let mut reply = Reply::default();
    interrupt::watch(session.cancel_flag());
    match steps(session, tokens, options, &mut reply, &mut show) {
        Err(Failure::Interrupted) => reply.stop = "cancelled",
        result => result?,
    }
    Ok(reply)
}

fn steps(
    session: &mut Session,
    tokens: &[u32],
    options: &GenerateOptions,
    reply: &mut Reply,
    show: &mut impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    check_interrupt()?;
    let start = Instant::now();
    let (mut generation, Synced { computed, .. }) = session.generate(tokens, options)?;
    reply.prefill = Phase { tokens: computed, time: start.elapsed() };
    let start = Instant::now();
    while let Some(piece) = generation.next()? {
        reply.decode = Phase { tokens: generation.generated().saturating_sub(1), time: start.elapsed() };
        reply.text.push_str(&piece.text);
        match piece.token {
            Some(token) => reply.tokens.push((token, piece.text.clone())),
            // text held back until the end belongs to the last token
            None => reply.tokens.last_mut().into_iter().for_each(|last| last.1.push_str(&piece.text)),
        }
        show(&piece.text)?;
        check_interrupt()?;
    }
    reply.stop = generation.stop_reason().map_or("", |reason| reason.as_str());
    Ok(())
}

pub(crate) fn check_interrupt() -> Result<(), Failure> {
    if interrupt::hit() { Err(Failure::Interrupted) } else { Ok(()) }
}

/// Turns a cancelled piece of work that is not a generation into the same failure.
pub(crate) fn interruptible<T>(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<T, Error>,
) -> Result<T, Failure> {
    interrupt::watch(session.cancel_flag());
    check_interrupt()?;
    Ok(work(session)?)
}

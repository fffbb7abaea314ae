//! `Checkpoints`: where a session's recurrent states stand, and to which earlier places they can go back.
//!
//! Such a state cannot be cut to an arbitrary prefix. Copies are made at the end of prompts, where chats go back to: to have an
//! answer again, or to change the last question. Position 0 needs no copy.

use crate::device::{COPIES, State};

/// A copy of the states after so many tokens, with the logits there.
#[derive(Clone, Debug)]
struct Copy {
    tokens: usize,
    logits: Vec<f32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoints {
    copies: [Option<Copy>; COPIES],
    /// Tokens that the states are made of; `None` after an error or while the device runs.
    now: Option<usize>,
}

impl Checkpoints {
    /// Those of an empty context.
    pub(crate) fn new() -> Self {
        Self { now: Some(0), ..Self::default() }
    }

    /// Whether the states are those after `tokens` tokens.
    pub(crate) fn are_at(&self, tokens: usize) -> bool {
        self.now == Some(tokens)
    }

    /// The states are those after so many tokens; `None` if nobody knows.
    pub(crate) fn moved(&mut self, to: Option<usize>) {
        self.now = to;
    }

    /// Takes the states back to at most `keep` tokens, all of which the context keeps. Returns how many these are.
    pub(crate) fn rewind(&mut self, keep: usize, state: &mut dyn State) -> usize {
        for copy in self.copies.iter_mut().filter(|copy| copy.as_ref().is_some_and(|copy| copy.tokens > keep)) {
            *copy = None;
        }
        if self.now == Some(keep) {
            return keep;
        }
        let found = self.copies.iter().enumerate().filter_map(|(place, copy)| Some((copy.as_ref()?.tokens, place)));
        let kept = found.max().map_or(0, |(tokens, place)| {
            state.restore(place);
            tokens
        });
        self.now = Some(kept);
        kept
    }

    /// The logits after exactly `tokens` tokens, if there is such a copy.
    pub(crate) fn logits(&self, tokens: usize) -> Option<&[f32]> {
        let copy = self.copies.iter().flatten().find(|copy| copy.tokens == tokens)?;
        Some(&copy.logits)
    }

    /// Copies the states in place of the shortest copy.
    pub(crate) fn keep(&mut self, logits: &[f32], state: &mut dyn State) {
        let Some(tokens) = self.now else { return };
        let tokens_of = |place: &usize| self.copies[*place].as_ref().map_or(0, |copy| copy.tokens);
        let place = (0..COPIES).find(|place| tokens_of(place) == tokens).or((0..COPIES).min_by_key(tokens_of));
        if let Some(place) = place {
            state.keep(place);
            self.copies[place] = Some(Copy { tokens, logits: logits.to_vec() });
        }
    }
}

//! Several texts in one pass: their rows stand one after another, and each row attends to its own text alone.

use super::Embedder;
use crate::device::{Batch, Outputs, Texts};
use crate::error::{Error, Result};

/// The tokens of a text or of a pair.
pub(super) struct Text {
    pub(super) tokens: Vec<u32>,
    /// Where the second text of a pair begins.
    pub(super) second: Option<usize>,
}

/// The tokens of a text whose outputs are wanted.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    All,
    First,
    Last,
    /// Those that are this token.
    Token(u32),
}

impl Wanted {
    /// The rows of a text that begins at row `start`.
    fn rows(self, tokens: &[u32], start: usize) -> Vec<usize> {
        let end = start + tokens.len();
        match self {
            Wanted::All => (start..end).collect(),
            Wanted::First => vec![start],
            Wanted::Last => vec![end - 1],
            Wanted::Token(token) => (start..end).filter(|&row| tokens[row - start] == token).collect(),
        }
    }
}

/// Texts of one pass, side by side.
#[derive(Default)]
struct Pack {
    tokens: Vec<u32>,
    types: Vec<u32>,
    ends: Vec<usize>,
    rows: Vec<usize>,
    /// Of each text, how many of its rows are wanted.
    counts: Vec<usize>,
}

impl Pack {
    fn push(&mut self, text: &Text, wanted: Wanted, types: bool) {
        let rows = wanted.rows(&text.tokens, self.tokens.len());
        self.counts.push(rows.len());
        self.rows.extend(rows);
        let second = text.second.filter(|_| types).unwrap_or(text.tokens.len());
        self.types.extend((0..text.tokens.len()).map(|i| u32::from(i >= second)));
        self.tokens.extend(&text.tokens);
        self.ends.push(self.tokens.len());
    }
}

impl Embedder {
    /// Runs texts, as many at once as fit, and gives the outputs of each one's wanted tokens to `finish`.
    pub(super) async fn run<T>(
        &mut self,
        texts: &[Text],
        wanted: Wanted,
        mut finish: impl FnMut(&[f32]) -> T,
    ) -> Result<Vec<T>> {
        self.check(texts)?;
        let mut done = Vec::with_capacity(texts.len());
        while done.len() < texts.len() {
            let pack = self.pack(&texts[done.len()..], wanted);
            let batch = Batch {
                tokens: &pack.tokens,
                pos: 0,
                outputs: Outputs::Rows(&pack.rows),
                texts: Texts { ends: &pack.ends, types: &pack.types },
            };
            self.state.run(batch, &self.cancel, &mut self.outputs).await?;
            let width = self.outputs.len() / pack.rows.len().max(1);
            let mut outputs = self.outputs.as_slice();
            for count in pack.counts {
                let (own, rest) = outputs.split_at(count * width);
                outputs = rest;
                done.push(finish(own));
            }
        }
        Ok(done)
    }

    /// The first texts that fit into one pass: at least one.
    fn pack(&self, texts: &[Text], wanted: Wanted) -> Pack {
        let types = self.model.plan().max_types() > 1;
        let mut pack = Pack::default();
        for text in texts {
            let full = pack.tokens.len() + text.tokens.len() > self.size.max_batch;
            let wide = pack.rows.len() + wanted.rows(&text.tokens, 0).len() > self.size.max_outputs;
            if !pack.ends.is_empty() && (full || wide) {
                break;
            }
            pack.push(text, wanted, types);
        }
        pack
    }

    fn check(&self, texts: &[Text]) -> Result<()> {
        if texts.is_empty() {
            return Err(Error::InvalidArgument("no texts".into()));
        }
        if let Some(i) = texts.iter().position(|text| text.tokens.is_empty()) {
            return Err(Error::InvalidArgument(format!("text {i} has no tokens")));
        }
        let limit = self.options.max_tokens;
        match texts.iter().map(|text| text.tokens.len()).find(|&n| n > limit) {
            Some(wanted) => Err(Error::ContextFull { wanted, limit }),
            None => Ok(()),
        }
    }
}

//! `Batch`: the rows that a plan is run for.

use std::ops::Range;

use super::StateOptions;
use crate::error::{Error, Result};
use crate::graph::Plan;

/// Which rows' outputs a batch wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs<'a> {
    /// None: only the cache is filled.
    None,
    /// The last row's.
    Last,
    /// Every row's.
    All,
    /// Those of these rows, in ascending order; only of whole texts.
    Rows(&'a [usize]),
}

/// Whole texts in a batch. The default is one text of type 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// One past the last row of each text, in order; empty for one text.
    pub ends: &'a [usize],
    /// The type of each token; empty where all are 0.
    pub types: &'a [u32],
}

/// Consecutive tokens of one timeline; or, if the plan has `texts`, whole texts one after another.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Token ids, all below `Plan::max_tokens`; at least 1, at most `max_batch`.
    pub tokens: &'a [u32],
    /// Position of the first; the cache is valid for every position before it (that a window can see), and recurrent states are
    /// those after the row before it. 0 for texts.
    pub pos: usize,
    /// Which outputs to return.
    pub outputs: Outputs<'a>,
    /// The texts, if the plan has such.
    pub texts: Texts<'a>,
}

impl Batch<'_> {
    /// How many rows' outputs are wanted.
    pub(super) fn wanted(&self) -> usize {
        match self.outputs {
            Outputs::None => 0,
            Outputs::Last => 1,
            Outputs::All => self.tokens.len(),
            Outputs::Rows(rows) => rows.len(),
        }
    }

    /// The rows of each row's own text; nothing of a timeline.
    pub(super) fn own_texts(&self, plan: &Plan) -> Vec<Range<usize>> {
        if !plan.texts {
            return Vec::new();
        }
        let one = [self.tokens.len()];
        let ends = if self.texts.ends.is_empty() { &one } else { self.texts.ends };
        let starts = [0].iter().chain(ends);
        starts.zip(ends).flat_map(|(&start, &end)| std::iter::repeat_n(start..end, end - start)).collect()
    }

    /// Refuses what a plan or a state of this size cannot run.
    pub(super) fn check(&self, plan: &Plan, options: &StateOptions) -> Result<()> {
        let (n, wanted) = (self.tokens.len(), self.wanted());
        if n == 0 || n > options.max_batch || wanted > options.max_outputs {
            return Err(Error::InvalidArgument(format!("a batch of {n} tokens with {wanted} outputs")));
        }
        let end = self.pos.saturating_add(n);
        if end > options.n_ctx {
            return Err(Error::ContextFull { wanted: end, limit: options.n_ctx });
        }
        let most = plan.max_tokens();
        if let Some(token) = self.tokens.iter().find(|&&token| token as usize >= most) {
            return Err(Error::InvalidArgument(format!("token {token} is not below {most}")));
        }
        let longest = if plan.texts { self.check_texts(plan)? } else { end };
        match plan.max_positions() {
            Some(limit) if longest > limit => Err(Error::ContextFull { wanted: longest, limit }),
            _ => Ok(()),
        }
    }

    /// The tokens of the longest text.
    fn check_texts(&self, plan: &Plan) -> Result<usize> {
        let (n, Texts { ends, types }) = (self.tokens.len(), self.texts);
        let wrong = |what: &str| Err(Error::InvalidArgument(what.into()));
        if self.pos != 0 {
            return wrong("texts begin at position 0");
        }
        let rising = |rows: &[usize]| rows.is_sorted_by(|a, b| a < b) && rows.last().is_none_or(|&last| last < n);
        match self.outputs {
            Outputs::Rows(rows) if !rising(rows) => return wrong("wanted rows are not in order"),
            _ => {}
        }
        if !ends.is_empty() && (ends[0] == 0 || ends.last() != Some(&n) || !ends.is_sorted_by(|a, b| a < b)) {
            return wrong("the ends of texts are not in order");
        }
        let most = plan.max_types();
        if !types.is_empty() && (types.len() != n || types.iter().any(|&ty| ty as usize >= most)) {
            return Err(Error::InvalidArgument(format!("a type for each token, below {most}, is needed")));
        }
        let starts = [0].iter().chain(ends);
        Ok(starts.zip(ends).map(|(start, end)| end - start).max().unwrap_or(n))
    }
}

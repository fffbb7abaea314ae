//! What the commands for encoders take.

use clap::{Args, ValueEnum};
use gabion::{EmbedderOptions, Pooling};

use super::Input;

/// How texts go through an encoder.
#[derive(Args)]
#[command(next_help_heading = "Texts")]
pub(crate) struct Texts {
    /// Tokens of the longest text; 0: the smaller of 512 and what the model was trained for
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_tokens: usize,
    /// Tokens computed at once, of as many texts as fit; 0: what the device prefers
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) batch_size: usize,
    /// Cut longer texts (of a pair the second) instead of refusing them
    #[arg(long)]
    pub(crate) truncate: bool,
}

impl Texts {
    pub(crate) fn options(&self) -> EmbedderOptions {
        EmbedderOptions {
            max_tokens: self.max_tokens,
            batch_tokens: self.batch_size,
            truncate: self.truncate,
            ..EmbedderOptions::default()
        }
    }
}

const EMBED_HELP: &str = "\
Every line is a text of its own; its numbers stand on a line, with spaces between them.
--json prints {dimensions, pooling, embeddings: [[numbers of the first line], ...]}.
With --pooling none a line's numbers are those of all its tokens, one token after another.";

#[derive(Args)]
#[command(after_help = EMBED_HELP)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    /// What precedes every line, e.g. 'query: ', as the model's makers ask for it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// How the states of a line's tokens become one vector [default: what the file says, or their mean]
    #[arg(long, value_name = "KIND")]
    pub(crate) pooling: Option<PoolingKind>,
    /// Leave vectors as long as they come, instead of of length 1
    #[arg(long)]
    pub(crate) raw: bool,
    /// Elements to keep, from the first on; 0: all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) dimensions: usize,
    #[command(flatten)]
    pub(crate) texts: Texts,
    /// Print one JSON object instead of a line of numbers for each
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PoolingKind {
    /// Of all tokens
    Mean,
    /// The first token's state
    #[value(alias = "first")]
    Cls,
    /// The last token's
    Last,
    /// Every token's
    None,
}

impl From<PoolingKind> for Pooling {
    fn from(kind: PoolingKind) -> Self {
        match kind {
            PoolingKind::Mean => Pooling::Mean,
            PoolingKind::Cls => Pooling::First,
            PoolingKind::Last => Pooling::Last,
            PoolingKind::None => Pooling::None,
        }
    }
}

const RERANK_HELP: &str = "\
Documents come best first: score, number of the line (from 1), the line itself, with tabs between them.
Scores are the model's own: logits, or of models that say yes or no the probability of yes.
--json prints {query, scores: [of each line, in the lines' order]}.";

#[derive(Args)]
#[command(after_help = RERANK_HELP)]
pub(crate) struct RerankArgs {
    /// What the documents are to answer
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) texts: Texts,
    /// Print one JSON object instead
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

const CLASSIFY_HELP: &str = "\
For each line its scores (logits), label=score with tabs between them; a label without a name is a number.
--json prints {labels: [names, or none], scores: [[of the first line], ...]}.";

#[derive(Args)]
#[command(after_help = CLASSIFY_HELP)]
pub(crate) struct ClassifyArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) texts: Texts,
    /// Print one JSON object instead
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

const FILL_HELP: &str = "\
For each mask its likeliest tokens, one a line: number of the mask (from 1), probability, token, with tabs between them.
--json prints {masks: [[{id, text, probability}, ...], ...]}.";

#[derive(Args)]
#[command(after_help = FILL_HELP)]
pub(crate) struct FillMaskArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    /// How many tokens to tell
    #[arg(short = 'k', long, value_name = "K", default_value_t = 5)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) texts: Texts,
    /// Print one JSON object instead
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

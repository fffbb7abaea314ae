//! Text in and out of a model: the tokenizer and the chat template that its file describes.
//!
//! Both work on data from strangers. Vocabularies are checked before use; user text can never become a control token;
//! every algorithm here takes time about linear in the text.

mod bpe;
mod detokenizer;
mod pretokenizers;
mod rwkv;
mod special;
mod split;
mod spm;
mod template;
mod tokenizer;
mod unigram;
mod vocab;
mod wordpiece;

pub use detokenizer::Detokenizer;
pub use template::{ChatOptions, ChatTemplate, ControlTexts, Message, TemplateValue};
pub use tokenizer::{MAX_TEXT, Segment, Tokenizer};

//! Text in and out of a model: the tokenizer and the chat template that its file describes.
//!
//! Both work on data from strangers. Vocabularies are checked before use; user text can never become a control token;
//! every algorithm here takes time about linear in the text.

mod bpe;
mod detokenizer;
mod pretokenizers;
mod special;
mod split;
mod spm;
mod tokenizer;
mod vocab;
mod wordpiece;

use crate::error::{Error, Result};
pub use detokenizer::Detokenizer;
pub use tokenizer::{MAX_TEXT, Segment, Tokenizer};
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: String,
    pub content: String,
}
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
    pub add_generation_prompt: bool,
}
#[allow(missing_docs)]
pub struct ChatTemplate;
#[allow(missing_docs)]
impl ChatTemplate {
    pub fn from_header(_: &crate::gguf::Header) -> Result<Option<Self>> {
        Ok(None)
    }
    pub fn tokens(&self, _: &Tokenizer, _: &[Message], _: &ChatOptions) -> Result<Vec<u32>> {
        Err(Error::Template("not written yet".into()))
    }
}

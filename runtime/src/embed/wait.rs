//! The calls that wait.

use super::{Embedder, Filled, TextKind};
use crate::error::Result;

impl Embedder {
    /// `embed_async`, waited for.
    pub fn embed<S: AsRef<str>>(&mut self, texts: &[S], kind: TextKind) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(self.embed_async(texts, kind))
    }

    /// `embed_tokens_async`, waited for.
    pub fn embed_tokens<T: AsRef<[u32]>>(&mut self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(self.embed_tokens_async(texts))
    }

    /// `classify_async`, waited for.
    pub fn classify<S: AsRef<str>>(&mut self, texts: &[(S, Option<S>)]) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(self.classify_async(texts))
    }

    /// `rerank_async`, waited for.
    pub fn rerank<S: AsRef<str>>(&mut self, query: &str, documents: &[S]) -> Result<Vec<f32>> {
        pollster::block_on(self.rerank_async(query, documents))
    }

    /// `fill_mask_async`, waited for.
    pub fn fill_mask(&mut self, text: &str, top: usize) -> Result<Vec<Vec<Filled>>> {
        pollster::block_on(self.fill_mask_async(text, top))
    }
}

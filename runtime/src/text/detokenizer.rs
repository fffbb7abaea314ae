//! Streaming detokenizer: tokens in, whole characters out.

use super::Tokenizer;

/// Turns tokens into text one at a time. A token may end inside a character; its bytes wait here for the rest, so what
/// comes out is always whole characters, and together exactly what `Tokenizer::decode` gives.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    /// The unfinished character, at most 3 bytes.
    pending: Vec<u8>,
    /// The next text begins with a space to be dropped.
    drop_space: bool,
    special: bool,
}

impl Detokenizer {
    /// For a new stream. `starts_text`: its first token begins a text, so the leading space that SentencePiece adds is
    /// taken off. Control tokens are not printed.
    pub fn new(tokenizer: &Tokenizer, starts_text: bool) -> Self {
        let drop_space = starts_text && tokenizer.leading_space();
        Self { tokenizer: tokenizer.clone(), pending: Vec::new(), drop_space, special: false }
    }

    /// Sets whether control tokens are printed.
    pub fn special(mut self, special: bool) -> Self {
        self.special = special;
        self
    }

    /// The text that `id` completes; empty while a character is unfinished.
    pub fn push(&mut self, id: u32) -> String {
        let mut piece = self.tokenizer.token_bytes(id, self.special);
        if !piece.is_empty() && std::mem::take(&mut self.drop_space) {
            piece = piece.strip_prefix(b" ").unwrap_or(piece);
        }
        self.pending.extend(piece);
        let mut text = String::new();
        let bytes = std::mem::take(&mut self.pending);
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text += chunk.valid();
            match chunk.invalid() {
                [] => {}
                cut if chunks.peek().is_none() && is_cut_off(cut) => self.pending = cut.into(),
                _ => text.push(char::REPLACEMENT_CHARACTER),
            }
        }
        text
    }

    /// Ends the text: U+FFFD for an unfinished character, if there is one.
    pub fn finish(&mut self) -> String {
        let broken = !std::mem::take(&mut self.pending).is_empty();
        if broken { char::REPLACEMENT_CHARACTER.into() } else { String::new() }
    }
}

/// Whether more bytes could make a character of an invalid sequence.
fn is_cut_off(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

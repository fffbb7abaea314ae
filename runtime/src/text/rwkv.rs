//! RWKV's tokenizer: the longest token that begins at a place is taken, over and over. Token texts are escaped bytes.

use super::vocab::Vocab;
use crate::error::{Error, Result};

/// Longest token in bytes; each place of a text costs at most so many steps. RWKV's own have up to 128.
const MAX_LEN: usize = 256;

pub(super) struct Rwkv {
    /// Tokens that text may become, by their bytes.
    tokens: Vec<(Box<[u8]>, u32)>,
    unk: Option<u32>,
}

impl Rwkv {
    pub(super) fn new(vocab: &Vocab) -> Result<Self> {
        let mut tokens = Vec::new();
        for (id, text, _) in vocab.iter().filter(|(_, _, kind)| kind.is_textual()) {
            let bytes = unescape(text).ok_or_else(|| {
                Error::Tokenizer(format!("token {id} is '{}', a wrong escape", String::from_utf8_lossy(text)))
            })?;
            if bytes.is_empty() || bytes.len() > MAX_LEN {
                return Err(Error::Tokenizer(format!("token {id} has {} bytes, not 1 to {MAX_LEN}", bytes.len())));
            }
            tokens.push((bytes, id));
        }
        tokens.sort();
        Ok(Self { tokens, unk: vocab.specials.unk })
    }

    /// Appends the tokens of `text`.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (id, len) = self.longest(rest).map_or((self.unk, 1), |(id, len)| (Some(id), len));
            out.extend(id);
            rest = &rest[len..];
        }
    }

    /// The longest token that `text` begins with, and its length. Tokens that begin alike are neighbours, the shortest first.
    fn longest(&self, text: &[u8]) -> Option<(u32, usize)> {
        let (mut alike, mut found) = (&self.tokens[..], None);
        for (i, byte) in text.iter().enumerate() {
            // these all have the bytes before; where one ends here, nothing compares as less
            let at = |token: &(Box<[u8]>, u32)| token.0.get(i).copied();
            let start = alike.partition_point(|token| at(token) < Some(*byte));
            let end = alike.partition_point(|token| at(token) <= Some(*byte));
            alike = &alike[start..end];
            let Some((bytes, id)) = alike.first() else { break };
            if bytes.len() == i + 1 {
                found = Some((*id, i + 1));
            }
        }
        found
    }
}

/// The bytes of a token's text: `\t`, `\n`, `\r`, `\xHH`, and `\` before any other character for that character.
pub(super) fn unescape(text: &[u8]) -> Option<Box<[u8]>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&first, after)) = rest.split_first() {
        let (byte, used) = match (first, after) {
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'x', high, low, ..]) => {
                let digit = |c: u8| char::from(c).to_digit(16);
                ((digit(*high)? * 16 + digit(*low)?) as u8, 4)
            }
            (b'\\', [b'x', ..] | []) => return None,
            (b'\\', [other, ..]) => (*other, 2),
            (other, _) => (other, 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let bytes = |text: &str| unescape(text.as_bytes()).map(Vec::from);
        assert_eq!(bytes(r"a\t\n\r\\\'\x00\xfFb"), Some(b"a\t\n\r\\'\x00\xffb".to_vec()));
        assert_eq!(bytes("é"), Some("é".into()));
        for wrong in [r"\", r"a\x", r"\x1", r"\xg0", r"\x+1"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_longest_token_is_found() {
        let list = ["a", "ab", "abcd", "b", "bcx"];
        let mut tokens: Vec<(Box<[u8]>, u32)> = list.iter().zip(0..).map(|(t, id)| (t.as_bytes().into(), id)).collect();
        tokens.sort();
        let encode = |text: &str, unk| {
            let mut out = Vec::new();
            Rwkv { tokens: tokens.clone(), unk }.encode(text, &mut out);
            out
        };
        assert_eq!(encode("abcda", None), [2, 0]);
        assert_eq!(encode("abcab", None), [1, 1]);
        assert_eq!(encode("abcab", Some(9)), [1, 9, 1]);
        assert_eq!(encode("bcbcx", Some(9)), [3, 9, 4]);
        assert_eq!(Rwkv { tokens: Vec::new(), unk: None }.longest(b"a"), None);
    }
}

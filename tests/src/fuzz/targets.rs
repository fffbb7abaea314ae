//! The fuzz targets: any bytes in; a panic is a defect of the core. Used by `tests/fuzz` and by the test `fuzz`, which both
//! install the counting allocator that the memory bounds rely on.

use gabion::gguf::{Header, Owned, Parse, Writer};
use gabion::text::{ChatOptions, ChatTemplate, Detokenizer, Message, Segment, Tokenizer};
use gabion::{arch, graph};

use crate::alloc::peak;

/// Parsing may take this many bytes of memory for a byte of input (tables of keys and tensors beside a copy).
const PARSE_FACTOR: usize = 16;
/// A specification and its plan: names, layers and ops, each for a tensor that the header lists.
const LOWER_FACTOR: usize = 64;
/// A tokenizer keeps several tables over its tokens; text takes symbols and candidates.
const TEXT_FACTOR: usize = 1024;
/// What small inputs may take.
const SMALL: usize = 64 << 10;
/// Compiled expressions of a pre-tokenizer, whatever the vocabulary.
const EXPRESSIONS: usize = 64 << 20;
/// A rendered conversation, its segments and tokens: the output limit several times over.
const RENDERED: usize = 512 << 20;

/// A header, as a download brings it and as a whole file; then the model it describes, lowered to a plan.
/// Returns whether there was one.
pub fn header(data: &[u8]) -> bool {
    let streamed = bounded("stream", PARSE_FACTOR * data.len() + SMALL, || stream(data));
    let whole = Header::parse(data, Some(data.len() as u64));
    assert!(!matches!(whole, Ok(Parse::Need(_))), "a whole file needs more");
    if let (Some(streamed), Ok(Parse::Done(whole))) = (&streamed, &whole) {
        assert_eq!((streamed.data_start, &streamed.tensors), (whole.data_start, &whole.tensors));
    }
    let Some(header) = streamed else { return false };
    for (key, value) in header.entries() {
        assert_eq!(header.get(key).is_some(), !key.is_empty());
        if let gabion::gguf::Value::Array(array) = value {
            assert_eq!(array.iter().count(), array.len(), "{key}");
        }
    }
    let _ = header.shard_count();
    let plan = || arch::spec(&header, None).and_then(|spec| graph::lower(&spec, &header)).is_ok();
    bounded("plan", LOWER_FACTOR * data.len() + SMALL, plan)
}

/// Parses ever longer prefixes, as much as asked for and no more; `None` where the bytes end or are refused.
fn stream(data: &[u8]) -> Option<Header> {
    let mut have = 1.min(data.len());
    loop {
        match Header::parse(&data[..have], None).ok()? {
            Parse::Done(header) => return Some(header),
            Parse::Need(n) => {
                assert!(n > have as u64, "{n} bytes are needed, {have} were given");
                // half as much again keeps the number of parses logarithmic
                have = usize::try_from(n).ok().filter(|&n| n <= data.len())?.max(have + have / 2).min(data.len());
            }
        }
    }
}

/// A tokenizer from a stranger's vocabulary; text through it in every way; a conversation through a stranger's template.
/// Input: a GGUF header and then the text, or the parts that `written` names. Returns whether a tokenizer
/// was made.
pub fn tokenizer(data: &[u8]) -> bool {
    let file = if data.starts_with(b"GGUF") { data.to_vec() } else { written(data) };
    let Ok(Parse::Done(header)) = Header::parse(&file, None) else { return false };
    let text = String::from_utf8_lossy(file.get(header.data_start as usize..).unwrap_or_default());
    let limit = TEXT_FACTOR * data.len() + EXPRESSIONS;
    let Ok(Some(tokenizer)) = bounded("tokenizer", limit, || Tokenizer::from_header(&header)) else { return false };
    bounded("text", limit, || text_through(&tokenizer, &text));
    let Ok(Some(template)) = ChatTemplate::from_header(&header) else { return true };
    bounded("chat", RENDERED, || chat_through(&tokenizer, &template, &text));
    true
}

/// The file that a simple form describes, with the text behind it. Its parts, ended by zero bytes:
/// kind and pre-tokenizer, a line each; tokens, a line each, with the type's digit in front; merges; keys `name=value`;
/// chat template; text.
fn written(data: &[u8]) -> Vec<u8> {
    let mut parts = data.splitn(6, |&byte| byte == 0).map(String::from_utf8_lossy);
    let mut part = || parts.next().unwrap_or_default().into_owned();
    let head = part();
    let (kind, pre) = head.split_once('\n').unwrap_or((&head, "default"));
    let tokens: Vec<(i32, String)> = part().lines().map(token).collect();
    let merges = part().lines().map(str::to_owned).collect();
    let scores = (0..tokens.len()).map(|i| -(i as f32)).collect();
    let mut file = Writer::new();
    for (key, value) in [
        ("ggml.model", Owned::String(kind.into())),
        ("ggml.pre", Owned::String(pre.into())),
        ("ggml.token_type", Owned::I32s(tokens.iter().map(|token| token.0).collect())),
        ("ggml.tokens", Owned::Strings(tokens.into_iter().map(|token| token.1).collect())),
        ("ggml.scores", Owned::F32s(scores)),
        ("ggml.merges", Owned::Strings(merges)),
    ] {
        file = file.key(&format!("tokenizer.{key}"), value);
    }
    for (name, value) in part().lines().filter_map(|line| line.split_once('=')) {
        let number = value.parse().map(Owned::U32);
        file = file.key(&format!("tokenizer.ggml.{name}"), number.unwrap_or(Owned::Bool(value == "true")));
    }
    let file = file.key("tokenizer.chat_template", Owned::String(part()));
    [file.to_bytes(), part().into_bytes()].concat()
}

fn token(line: &str) -> (i32, String) {
    match line.chars().next().and_then(|first| first.to_digit(10)) {
        Some(kind) => (kind as i32, line[1..].into()),
        None => (1, line.into()),
    }
}

fn text_through(tokenizer: &Tokenizer, text: &str) {
    for (add_special, parse_special) in [(false, false), (true, true)] {
        let ids = tokenizer.encode(text, add_special, parse_special).expect("short texts are accepted");
        known(tokenizer, &ids);
        for special in [false, true] {
            let mut stream = Detokenizer::new(tokenizer, true).special(special);
            let pieces: String = ids.iter().map(|&id| stream.push(id)).collect();
            assert_eq!(pieces + &stream.finish(), tokenizer.decode(&ids, special));
        }
    }
    let half = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    let segment = |text: &str, parse_special| Segment { text: text.into(), parse_special };
    let segments = [segment(&text[..half], true), segment(&text[half..], false)];
    known(tokenizer, &tokenizer.encode_segments(&segments, true).expect("short texts are accepted"));
}

/// Every id has a token.
fn known(tokenizer: &Tokenizer, ids: &[u32]) {
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.n_vocab()), "{ids:?} with {} tokens", tokenizer.n_vocab());
}

fn chat_through(tokenizer: &Tokenizer, template: &ChatTemplate, text: &str) {
    let messages = [Message::new("system", "Be brief."), Message::new("user", text), Message::new("assistant", "Yes.")];
    let options = ChatOptions { now: Some(0), ..ChatOptions::default() };
    if let Ok(ids) = template.tokens(tokenizer, &messages, &options) {
        known(tokenizer, &ids);
    }
}

/// Runs `f`, which may take at most `limit` bytes of memory.
#[track_caller]
pub fn bounded<T>(what: &str, limit: usize, f: impl FnOnce() -> T) -> T {
    let (used, result) = peak(f);
    assert!(used <= limit, "{what} took {used} bytes of memory, the limit is {limit}");
    result
}

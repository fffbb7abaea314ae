//! Vocabularies and texts from strangers: broken data is an error that says what is wrong, long inputs take linear time.

use std::time::Instant;

use gabion::Error;
use gabion::gguf::{Header, Owned, Parse, Writer};
use gabion::text::{Detokenizer, MAX_TEXT, Segment, Tokenizer};

fn build(writer: Writer) -> Result<Option<Tokenizer>, Error> {
    let bytes = writer.to_bytes();
    let Parse::Done(header) = Header::parse(&bytes, Some(bytes.len() as u64))? else { panic!("incomplete header") };
    Tokenizer::from_header(&header)
}

fn strings(items: &[&str]) -> Owned {
    Owned::Strings(items.iter().map(|s| s.to_string()).collect())
}

fn model(kind: &str, tokens: &[&str]) -> Writer {
    Writer::new().key("tokenizer.ggml.model", Owned::String(kind.into())).key("tokenizer.ggml.tokens", strings(tokens))
}

fn bpe(tokens: &[&str], merges: &[&str]) -> Writer {
    model("gpt2", tokens).key("tokenizer.ggml.merges", strings(merges))
}

/// The message of the tokenizer error that a file must give.
fn refused(writer: Writer) -> String {
    match build(writer) {
        Err(Error::Tokenizer(message) | Error::Unsupported(message)) => message,
        Err(other) => format!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn broken_vocabularies_are_refused_by_name() {
    let pre = |name: &str| bpe(&["a"], &[]).key("tokenizer.ggml.pre", Owned::String(name.into()));
    let id = |name: &str, id: u32| bpe(&["a"], &[]).key(&format!("tokenizer.ggml.{name}_token_id"), Owned::U32(id));
    for (writer, part) in [
        (model("bogus", &["a"]), "bogus"),
        (model("t5", &["a"]), "t5"),
        (model("rwkv", &["a", "b\\x0"]), "token 1 is 'b\\x0'"),
        (model("rwkv", &["a", "\\"]), "wrong escape"),
        (model("rwkv", &["a".repeat(257).as_str()]), "257 bytes"),
        (model("gemma4", &["a"]), "gemma4"),
        (pre("bogus"), "bogus"),
        (bpe(&[], &[]), "0 tokens"),
        (Writer::new().key("tokenizer.ggml.model", Owned::String("gpt2".into())), "tokens"),
        (model("gpt2", &["a"]), "merges"),
        (bpe(&["a", "b", "a"], &[]), "same text"),
        (bpe(&["a", "b"], &["a b"]), "not in the vocabulary"),
        (bpe(&["a", "ab"], &["a b"]), "not in the vocabulary"),
        (bpe(&["a"], &["ab"]), "no space"),
        (bpe(&["a"], &[""]), "no space"),
        (bpe(&["a"], &[" "]), "no space"),
        (id("bos", 1), "bos_token_id"),
        (id("eos", u32::MAX), "eos_token_id"),
        (id("seperator", 7), "seperator_token_id"),
        (bpe(&["a", "b"], &[]).key("tokenizer.ggml.token_type", Owned::I32s(vec![1])), "1 entries for 2"),
        (bpe(&["a"], &[]).key("tokenizer.ggml.token_type", Owned::I32s(vec![9])), "unknown type"),
        (bpe(&["a"], &[]).key("tokenizer.ggml.token_type", Owned::I32s(vec![-1])), "unknown type"),
        (model("llama", &["a", "b"]).key("tokenizer.ggml.scores", Owned::F32s(vec![0.0])), "1 entries for 2"),
        (model("llama", &["a"]).key("tokenizer.ggml.scores", Owned::F32s(vec![f32::NAN])), "score of token 0"),
        (model("llama", &["<0x4>"]).key("tokenizer.ggml.token_type", Owned::I32s(vec![6])), "two hex digits"),
        (model("llama", &["<0xG0>"]).key("tokenizer.ggml.token_type", Owned::I32s(vec![6])), "two hex digits"),
        (model("llama", &["<0x+4>"]).key("tokenizer.ggml.token_type", Owned::I32s(vec![6])), "two hex digits"),
        (model("bert", &["a"]), "unknown token"),
        (bpe(&["a"], &[]).key("tokenizer.ggml.add_bos_token", Owned::U32(1)), "add_bos_token"),
    ] {
        let message = refused(writer);
        assert!(message.contains(part), "{message:?} should name {part:?}");
    }
}

#[test]
fn files_without_a_tokenizer_have_none() {
    assert!(build(Writer::new()).unwrap().is_none());
    assert!(build(model("no_vocab", &[])).unwrap().is_none());
    assert!(build(model("none", &[])).unwrap().is_none());
}

#[test]
fn one_token_is_enough() {
    for writer in [
        bpe(&["a"], &[]),
        model("llama", &["a"]),
        model("bert", &["\u{2581}a"]).key("tokenizer.ggml.unknown_token_id", Owned::U32(0)),
    ] {
        let tokenizer = build(writer).unwrap().unwrap();
        assert_eq!(tokenizer.n_vocab(), 1);
        let ids = tokenizer.encode("a b \u{1F600} a", true, true).unwrap();
        assert!(ids.iter().all(|&id| id == 0), "{ids:?}");
        assert!(tokenizer.encode("", false, false).unwrap().is_empty());
        assert_eq!(tokenizer.decode(&[0, 1, u32::MAX], true), "a");
        assert_eq!(tokenizer.token_bytes(7, true), b"");
        assert!(!tokenizer.is_control(7) && !tokenizer.is_eog(7) && tokenizer.token_text(7).is_none());
    }
}

#[test]
fn empty_and_odd_texts_of_tokens_are_kept_apart() {
    let tokenizer = build(bpe(&["", "a", "a b", "\u{1F600}"], &[])).unwrap().unwrap();
    assert_eq!(tokenizer.token_text(0).unwrap(), "[EMPTY_0]");
    assert_eq!(tokenizer.decode(&[2, 3], false), "a b\u{1F600}");
}

/// Single bytes in byte-level spelling, and merges of `unit` into ever longer runs.
fn runs(unit: &str) -> Tokenizer {
    let letters: Vec<String> = ('!'..='~').chain(['Ġ', 'Ċ']).map(String::from).collect();
    let mut tokens = letters;
    let mut merges = Vec::new();
    for n in [1, 2, 4, 8, 16, 32] {
        merges.push(format!("{} {}", unit.repeat(n), unit.repeat(n)));
        tokens.push(unit.repeat(2 * n));
    }
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let merges: Vec<&str> = merges.iter().map(String::as_str).collect();
    build(bpe(&tokens, &merges).key("tokenizer.ggml.pre", Owned::String("qwen2".into()))).unwrap().unwrap()
}

fn seconds(f: impl FnOnce() -> usize) -> (usize, f64) {
    let start = Instant::now();
    let n = f();
    (n, start.elapsed().as_secs_f64())
}

#[test]
fn long_runs_take_linear_time() {
    let spm_tokens: Vec<String> = (0..7).flat_map(|n| ["A", "\u{2581}", "7"].map(|unit| unit.repeat(1 << n))).collect();
    let spm_tokens: Vec<&str> = spm_tokens.iter().map(String::as_str).collect();
    let bert = model("bert", &["[UNK]", "\u{2581}A", "A"])
        .key("tokenizer.ggml.unknown_token_id", Owned::U32(0))
        .key("tokenizer.ggml.token_type", Owned::I32s(vec![2, 1, 1]));
    for (name, tokenizer, unit) in [
        ("bpe letters", runs("A"), "A"),
        ("bpe spaces", runs("Ġ"), " "),
        ("bpe digits", runs("7"), "7"),
        ("bpe mixed", runs("A"), "A 7\n"),
        ("spm letters", build(model("llama", &spm_tokens)).unwrap().unwrap(), "A"),
        ("spm spaces", build(model("llama", &spm_tokens)).unwrap().unwrap(), " "),
        ("spm digits", build(model("llama", &spm_tokens)).unwrap().unwrap(), "7"),
        ("bert letters", build(bert.clone()).unwrap().unwrap(), "A"),
        ("bert words", build(bert).unwrap().unwrap(), "A."),
    ] {
        let time = |n: usize| {
            let text = unit.repeat(n / unit.len());
            seconds(|| tokenizer.encode(&text, false, false).unwrap().len())
        };
        let (_, small) = time(100_000);
        let (tokens, large) = time(800_000);
        eprintln!("{name}: 100 kB {small:.4} s, 800 kB {large:.4} s, {tokens} tokens");
        // eight times the text; quadratic would be 64 times the time
        assert!(large < 32.0 * small.max(0.01), "{name}: {small} s for 100 kB, {large} s for 800 kB");
    }
}

#[test]
fn too_long_texts_are_refused() {
    let tokenizer = runs("A");
    let half = Segment { text: "A".repeat(MAX_TEXT / 2 + 1), parse_special: false };
    let whole = [half.clone(), half].map(|s| s.text).concat();
    assert!(matches!(tokenizer.encode(&whole, false, false), Err(Error::InvalidArgument(_))));
    let segments = vec![Segment { text: "A".repeat(MAX_TEXT / 2 + 1), parse_special: false }; 2];
    assert!(matches!(tokenizer.encode_segments(&segments, false), Err(Error::InvalidArgument(_))));
}

/// `a`..`c`, a control token `<x>` that merges could make, a user-defined token `bc`.
fn with_specials() -> Tokenizer {
    let tokens = ["a", "b", "c", "<", "x", ">", "<x", "<x>", "bc", "ab"];
    let merges = ["< x", "<x >", "a b"];
    let types = vec![1, 1, 1, 1, 1, 1, 1, 3, 4, 1];
    let writer = bpe(&tokens, &merges).key("tokenizer.ggml.token_type", Owned::I32s(types));
    // words are not cut, so merges could reach the control token
    build(writer.key("tokenizer.ggml.pre", Owned::String("whitespace".into()))).unwrap().unwrap()
}

#[test]
fn control_tokens_come_only_from_trusted_text() {
    let tokenizer = with_specials();
    assert_eq!(tokenizer.encode("a<x>", false, true).unwrap(), [0, 7]);
    // not even by the model's own merges
    assert_eq!(tokenizer.encode("a<x>", false, false).unwrap(), [0, 6, 5]);
    let segment = |text: &str, parse_special| Segment { text: text.into(), parse_special };
    let split = [segment("<", true), segment("x>", true)];
    assert_eq!(tokenizer.encode_segments(&split, false).unwrap(), [6, 5]);
    let mixed = [segment("<x>a", true), segment("b<x>", false), segment("<x>", true)];
    // "ab" merges across the border as it would in one text
    assert_eq!(tokenizer.encode_segments(&mixed, false).unwrap(), [7, 9, 6, 5, 7]);
    assert_eq!(tokenizer.decode(&[7, 0, 7], false), "a");
    assert_eq!(tokenizer.decode(&[7, 0, 7], true), "<x>a<x>");
}

#[test]
fn user_defined_tokens_come_from_any_text() {
    let tokenizer = with_specials();
    assert_eq!(tokenizer.encode("abc", false, false).unwrap(), [0, 8]);
}

#[test]
fn the_stream_never_gives_half_a_character() {
    let bytes: Vec<String> = (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect();
    let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
    let types = Owned::I32s(vec![6; 256]);
    let tokenizer = build(model("llama", &bytes).key("tokenizer.ggml.token_type", types)).unwrap().unwrap();
    let hostile: [&[u8]; 6] =
        ["é漢😀a".as_bytes(), b"\xE2\x82A", b"\xF0\x9F\x98", b"\xFF\xFE\x80", b"\xC3", b"\xED\xA0\x80x"];
    for text in hostile {
        let ids: Vec<u32> = text.iter().map(|&byte| byte.into()).collect();
        let mut stream = Detokenizer::new(&tokenizer, false);
        let mut out: String = ids.iter().map(|&id| stream.push(id)).collect();
        out += &stream.finish();
        assert_eq!(out, String::from_utf8_lossy(text), "{text:x?}");
        assert_eq!(stream.finish(), "", "finish resets");
    }
    let mut stream = Detokenizer::new(&tokenizer, false);
    let steps: Vec<String> = "😀".bytes().map(|byte| stream.push(byte.into())).collect();
    assert_eq!(steps, ["", "", "", "😀"]);
}

#[test]
fn every_byte_and_many_characters_survive_byte_level_bpe() {
    let spelled: Vec<String> = (0..324u32).filter_map(char::from_u32).map(String::from).collect();
    let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
    for pre in ["gpt-2", "llama-bpe", "qwen2", "tekken", "gpt-4o", "deepseek-llm", "kimi-k2", "superbpe", "bloom"] {
        let tokenizer =
            build(bpe(&spelled, &[]).key("tokenizer.ggml.pre", Owned::String(pre.into()))).unwrap().unwrap();
        let mut text: String = (0..0x3000).filter_map(char::from_u32).collect();
        text += "\u{FFFD}\u{10FFFF}👩‍👩‍👧 \r\n\t  ";
        let ids = tokenizer.encode(&text, false, false).unwrap();
        assert_eq!(ids.len(), text.len(), "{pre}: one token a byte");
        assert_eq!(tokenizer.decode(&ids, false), text, "{pre}");
    }
}

//! What an embedder refuses.

use gabion::gguf::Owned;
use gabion::{EmbedderOptions, Error, ModelOptions, SessionOptions, TextKind};
use gabion_tests::toy::{self, Toy};

use super::{TEXTS, cpu, embedder, load};

fn says<T>(result: gabion::Result<T>, code: i32, words: &[&str]) {
    let Err(error) = result else { panic!("not refused: {words:?}") };
    let text = error.to_string();
    assert!(error.code() == code && words.iter().all(|word| text.contains(word)), "{code} {words:?}: {text}");
}

#[test]
fn models_do_what_they_are_for() {
    let decoder = load(&toy::llama(), &cpu());
    says(decoder.embedder(&EmbedderOptions::default()), -4, &["'llama'", "llama.pooling_type"]);
    let encoder = load(&toy::bert(), &cpu());
    says(encoder.session(&SessionOptions::default()), -4, &["'bert'", "embedder"]);
    let mut embeds = encoder.embedder(&EmbedderOptions::default()).unwrap();
    says(embeds.rerank("a", &["b"]), -4, &["'bert'", "cls.output.weight"]);
    says(embeds.classify(&[("a", None)]), -4, &["'bert'", "cls.output.weight"]);
    says(embeds.fill_mask("the [MASK]", 3), -4, &["'bert'", "mlm.dense.weight"]);
    let scores = toy::bert().random_tensor("cls.output.weight", &[32, 3]);
    let mut scores = embedder(&scores, &EmbedderOptions::default());
    says(scores.embed(&TEXTS, TextKind::Plain), -4, &["it scores texts"]);
    says(scores.rerank("a", &["b"]), -4, &["3 labels"]);
}

#[test]
fn texts_that_cannot_be_run() {
    let mut embedder = embedder(&toy::bert(), &EmbedderOptions { max_tokens: 8, ..Default::default() });
    says(embedder.embed::<&str>(&[], TextKind::Plain), -1, &["no texts"]);
    says(embedder.embed(&TEXTS, TextKind::Plain), -11, &["14 tokens", "of 8", "max_tokens"]);
    says(embedder.embed_tokens(&[&[1, 2][..], &[]]), -1, &["text 1"]);
    says(embedder.embed_tokens(&[[1, 16]]), -1, &["16"]);
    assert!(embedder.embed(&["the cat"], TextKind::Plain).is_ok(), "it stays usable");
    let n = toy::N_EMBD;
    let fills = toy::bert().random_tensor("mlm.dense.weight", &[n, n]).random_tensor("mlm.norm.weight", &[n]);
    let mut fills = super::embedder(&fills, &EmbedderOptions::default());
    says(fills.fill_mask("no mask", 3), -1, &["0 masks"]);
    says(fills.fill_mask(&"[MASK] ".repeat(33), 3), -1, &["33 masks"]);
}

#[test]
fn options_out_of_range() {
    let model = load(&toy::bert(), &cpu());
    let with = |options: EmbedderOptions| model.embedder(&options);
    says(with(EmbedderOptions { dimensions: 33, ..Default::default() }), -1, &["33", "32"]);
    says(with(EmbedderOptions { max_tokens: 65, ..Default::default() }), -1, &["65", "64"]);
    says(with(EmbedderOptions { batch_tokens: usize::MAX, ..Default::default() }), -1, &["limit"]);
    assert_eq!(with(EmbedderOptions::default()).unwrap().max_tokens(), 64);
}

#[test]
fn files_that_lie_about_their_heads() {
    let refused = |toy: Toy, code, words: &[&str]| says(toy.load(&cpu(), &ModelOptions::default()), code, words);
    let n = toy::N_EMBD;
    refused(toy::bert().set("pooling_type", Owned::U32(4)), -5, &["cls.output.weight"]);
    refused(toy::bert().set("pooling_type", Owned::U32(9)), -5, &["pooling_type"]);
    refused(toy::bert().random_tensor("cls.output.weight", &[n - 1, 2]), -5, &["cls.output.weight"]);
    refused(toy::bert().random_tensor("cls.output.weight", &[n, 0]), -5, &["cls.output.weight"]);
    refused(toy::bert().random_tensor("mlm.dense.weight", &[n, n]), -5, &["mlm.norm.weight"]);
    refused(toy::bert().random_tensor("cls.norm.weight", &[n]).random_tensor("cls.weight", &[n, n]), -4, &["cls"]);
    let recurrent = toy::qwen35().set("pooling_type", Owned::U32(3)).without_tensor("output.weight");
    refused(recurrent, -4, &["recurrent"]);
    refused(toy::bert().random_tensor("token_types.weight", &[n, 0]), -5, &["token_types"]);
    assert!(matches!(
        toy::bert().without_tensor("position_embd.weight").load(&cpu(), &Default::default()),
        Err(Error::Model(_))
    ));
}

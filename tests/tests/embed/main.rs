//! Embedders: what texts share a pass with changes nothing, options do what they say, and misuse is told by name.

mod heads;
mod misuse;

use std::sync::atomic::{AtomicBool, Ordering};

use gabion::device::cpu::Level;
use gabion::gguf::Owned;
use gabion::{Embedder, EmbedderOptions, Model, ModelOptions, Pooling, Runtime, TextKind};
use gabion_tests::devices;
use gabion_tests::golden::nmse;
use gabion_tests::toy::{self, Toy};

/// Sums may be made in another order where a text stands elsewhere in its pass.
const ROUNDING: f64 = 1e-10;
const TEXTS: [&str; 5] = ["the cat sat", "the dogs", "", "a mat on the cat on the mat on the dog sat", "dog"];

fn cpu() -> Runtime {
    devices::cpu(Level::best(), Some(2))
}

fn runtimes() -> Vec<Runtime> {
    let all = [Some(devices::cpu(Level::Reference, Some(2))), Some(cpu()), devices::gpu_runtime()];
    all.into_iter().flatten().collect()
}

fn load(toy: &Toy, runtime: &Runtime) -> Model {
    toy.load(runtime, &ModelOptions { exact: true, ..Default::default() }).unwrap()
}

fn embedder(toy: &Toy, options: &EmbedderOptions) -> Embedder {
    load(toy, &cpu()).embedder(options).unwrap()
}

fn embed(embedder: &mut Embedder, texts: &[&str]) -> Vec<Vec<f32>> {
    embedder.embed(texts, TextKind::Plain).unwrap()
}

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn texts_do_not_know_one_another() {
    for runtime in runtimes() {
        for pooling in [Pooling::None, Pooling::Mean, Pooling::First, Pooling::Last] {
            let options = EmbedderOptions { pooling: Some(pooling), ..Default::default() };
            let mut embedder = load(&toy::bert(), &runtime).embedder(&options).unwrap();
            let together = embed(&mut embedder, &TEXTS);
            let reversed = embed(&mut embedder, &TEXTS.map(|text| text).into_iter().rev().collect::<Vec<_>>());
            for (i, text) in TEXTS.iter().enumerate() {
                let alone = embed(&mut embedder, &[text]).remove(0);
                assert!(alone.iter().all(|x| x.is_finite()) && length(&alone) > 0.9);
                assert!(nmse(&alone, &together[i]) < ROUNDING, "{pooling:?}, {text}");
                assert!(nmse(&alone, &reversed[TEXTS.len() - 1 - i]) < ROUNDING, "{pooling:?}, {text}");
            }
            assert!(nmse(&together[0], &together[1]) > 1e-4, "texts differ");
        }
    }
}

#[test]
fn the_size_of_a_pass_changes_nothing() {
    let many: Vec<&str> = TEXTS.iter().copied().cycle().take(40).collect();
    let with = |batch_tokens| {
        let options = EmbedderOptions { max_tokens: 16, batch_tokens, ..Default::default() };
        let mut embedder = embedder(&toy::bert(), &options);
        assert!(embedder.options().batch_tokens >= 16);
        embed(&mut embedder, &many).concat()
    };
    let expected = with(1024);
    for batch_tokens in [1, 16, 17, 33, 100] {
        assert!(nmse(&expected, &with(batch_tokens)) < ROUNDING, "{batch_tokens}");
    }
}

#[test]
fn states_are_in_the_order_of_tokens() {
    let with = |pooling| {
        let options = EmbedderOptions { pooling: Some(pooling), normalize: false, ..Default::default() };
        embed(&mut embedder(&toy::bert(), &options), &["the cat sat"]).remove(0)
    };
    let (states, width) = (with(Pooling::None), toy::N_EMBD as usize);
    assert_eq!(states.len(), 5 * width, "[CLS] the cat sat [SEP]");
    assert_eq!(with(Pooling::First), states[..width]);
    assert_eq!(with(Pooling::Last), states[4 * width..]);
    let mean: Vec<f32> = (0..width).map(|i| states.iter().skip(i).step_by(width).sum::<f32>() / 5.0).collect();
    assert!(nmse(&mean, &with(Pooling::Mean)) < ROUNDING);
}

#[test]
fn vectors_can_be_cut_and_keep_length_1() {
    let with = |dimensions, normalize| {
        let options = EmbedderOptions { dimensions, normalize, ..Default::default() };
        embed(&mut embedder(&toy::bert(), &options), &TEXTS[..1]).remove(0)
    };
    let (raw, whole, cut) = (with(0, false), with(0, true), with(8, true));
    assert_eq!((raw.len(), whole.len(), cut.len()), (32, 32, 8));
    assert_eq!(with(8, false), raw[..8]);
    let normalized = |x: &[f32]| x.iter().map(|v| (f64::from(*v) / length(x)) as f32).collect::<Vec<_>>();
    assert!(nmse(&normalized(&raw), &whole) < ROUNDING && nmse(&normalized(&raw[..8]), &cut) < ROUNDING);
    assert!((length(&raw) - 1.0).abs() > 1e-2);
}

#[test]
fn long_texts_are_cut_where_that_is_asked_for() {
    let options = EmbedderOptions { max_tokens: 6, truncate: true, ..Default::default() };
    let mut cutting = embedder(&toy::bert(), &options);
    let cut = embed(&mut cutting, &[TEXTS[3]]);
    assert_eq!(cut, embed(&mut cutting, &["a mat on the"]), "the last token stays");
}

#[test]
fn kinds_of_texts_have_their_prefixes() {
    let (query_prefix, document_prefix) = ("query: ".to_owned(), "the ".to_owned());
    let mut embedder = embedder(&toy::bert(), &EmbedderOptions { query_prefix, document_prefix, ..Default::default() });
    let plain = |embedder: &mut Embedder, text: &str| embedder.embed(&[text], TextKind::Plain).unwrap();
    assert_eq!(embedder.embed(&["a cat"], TextKind::Query).unwrap(), plain(&mut embedder, "query: a cat"));
    assert_eq!(embedder.embed(&["cat"], TextKind::Document).unwrap(), plain(&mut embedder, "the cat"));
    assert_ne!(plain(&mut embedder, "cat"), plain(&mut embedder, "the cat"));
}

/// Files of RoBERTa and DistilBERT have no token types, some of the latter no pooling either.
#[test]
fn what_a_bert_may_lack() {
    let plain = toy::bert().without_tensor("token_types.weight").without_key("pooling_type");
    let mut lacking = embedder(&plain, &EmbedderOptions::default());
    assert_eq!(lacking.pooling(), Pooling::Mean);
    let zeros = toy::bert().fill("token_types.weight", 0.0);
    assert_eq!(embed(&mut lacking, &TEXTS), embed(&mut embedder(&zeros, &EmbedderOptions::default()), &TEXTS));
}

/// A decoder whose file names a pooling embeds, reading forward only.
#[test]
fn decoders_embed_by_their_last_token() {
    for runtime in runtimes() {
        let toy = toy::llama().set("pooling_type", Owned::U32(3)).without_tensor("output.weight");
        let model = load(&toy, &runtime);
        let with = |pooling| {
            let options = EmbedderOptions { pooling, normalize: false, ..Default::default() };
            let texts = [&[7, 8][..], &[1, 2, 3, 4, 5], &[1, 2, 3]];
            model.embedder(&options).unwrap().embed_tokens(&texts).unwrap()
        };
        let (states, last) = (with(Some(Pooling::None)), with(None));
        assert!(nmse(&states[1][..3 * 32], &states[2]) < ROUNDING, "what follows changes nothing");
        assert!(last.iter().zip(&states).all(|(last, states)| states.ends_with(last)));
    }
}

#[test]
fn jina_has_no_positions_but_distances() {
    let mut toy = toy::bert().without_tensor("position_embd.weight");
    for i in 0..2 {
        toy = toy.random_tensor(&format!("blk.{i}.ffn_gate.weight"), &[32, 64]);
    }
    let embed = |toy: &Toy| {
        let options = EmbedderOptions { pooling: Some(Pooling::None), ..Default::default() };
        let all = runtimes()
            .into_iter()
            .map(|runtime| embed(&mut load(toy, &runtime).embedder(&options).unwrap(), &TEXTS).concat());
        all.collect::<Vec<_>>()
    };
    let all = embed(&toy.renamed("jina-bert-v2"));
    assert!(all.iter().all(|states| nmse(&all[0], states) < ROUNDING));
}

#[test]
fn a_cancelled_call_leaves_the_embedder_usable() {
    let mut embedder = embedder(&toy::bert(), &EmbedderOptions::default());
    let expected = embed(&mut embedder, &TEXTS);
    let cancel = embedder.cancel_flag();
    cancel.cancel();
    assert_eq!(embed(&mut embedder, &TEXTS), expected, "a request from before is dropped");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                cancel.cancel();
            }
        });
        let result = embedder.embed(&vec![TEXTS[3]; 4096], TextKind::Plain);
        done.store(true, Ordering::Relaxed);
        assert!(matches!(result, Err(gabion::Error::Cancelled)));
    });
    assert_eq!(embed(&mut embedder, &TEXTS), expected);
}

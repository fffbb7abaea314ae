//! Classifiers and masked language models, computed once more by hand from the states of the same model without its head.

use gabion::gguf::Owned;
use gabion::{EmbedderOptions, Pooling, Task};
use gabion_tests::golden::nmse;
use gabion_tests::toy::{self, Toy, WORDS};

use super::{embedder, load, runtimes};

const N: usize = toy::N_EMBD as usize;

/// The states of a pair's tokens, by the model without a head, whose second text has types `second`.
fn states(tokens: &[u32]) -> Vec<f64> {
    let options = EmbedderOptions { normalize: false, pooling: Some(Pooling::None), ..Default::default() };
    let states = embedder(&toy::bert(), &options).embed_tokens(&[tokens]).unwrap().remove(0);
    states.iter().map(|x| f64::from(*x)).collect()
}

/// W x + b
fn linear(toy: &Toy, name: &str, x: &[f64]) -> Vec<f64> {
    let (weight, bias) = (toy.elements(&format!("{name}.weight")), toy.elements(&format!("{name}.bias")));
    let row =
        |(row, bias): (&[f32], &f32)| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(*bias);
    weight.chunks_exact(x.len()).zip(&bias).map(row).collect()
}

fn ids(words: &[&str]) -> Vec<u32> {
    words.iter().map(|word| WORDS.iter().position(|known| known == word).expect("a word") as u32).collect()
}

fn classifier(labels: u64) -> Toy {
    let toy = toy::bert().set("pooling_type", Owned::U32(4));
    let toy = toy.random_tensor("cls.weight", &[N as u64, N as u64]).random_tensor("cls.bias", &[N as u64]);
    toy.random_tensor("cls.output.weight", &[N as u64, labels]).random_tensor("cls.output.bias", &[labels])
}

fn close(wanted: &[f64], got: &[f32]) -> bool {
    nmse(&wanted.iter().map(|x| *x as f32).collect::<Vec<_>>(), got) < 1e-10
}

#[test]
fn a_classifier_reads_the_first_state() {
    let toy = classifier(3);
    let first = &states(&ids(&["[CLS]", "▁the", "▁cat", "[SEP]"]))[..N];
    let pooled: Vec<f64> = linear(&toy, "cls", first).iter().map(|x| x.tanh()).collect();
    let wanted = linear(&toy, "cls.output", &pooled);
    for runtime in runtimes() {
        let mut embedder = load(&toy, &runtime).embedder(&EmbedderOptions::default()).unwrap();
        assert_eq!((embedder.task(), embedder.scores(), embedder.labels().len()), (Task::Score, 3, 0));
        let scores = embedder.classify(&[("the cat", None), ("a dog sat", None), ("the cat", None)]).unwrap();
        assert!(close(&wanted, &scores[0]) && close(&wanted, &scores[2]) && !close(&wanted, &scores[1]), "{scores:?}");
    }
    let direct = toy.without_tensor("cls.weight").without_tensor("cls.bias");
    let scores = embedder(&direct, &EmbedderOptions::default()).classify(&[("the cat", None)]).unwrap();
    assert!(close(&linear(&direct, "cls.output", first), &scores[0]), "without a dense layer");
}

#[test]
fn labels_have_the_names_that_the_file_gives_them() {
    let names = ["bad", "good"].map(str::to_owned);
    let key = "classifier.output_labels";
    let named = |labels: &[String]| classifier(2).set(key, Owned::Strings(labels.to_vec()));
    assert_eq!(embedder(&named(&names), &EmbedderOptions::default()).labels(), names);
    let wrong = named(&names[..1]).load(&super::cpu(), &Default::default());
    assert!(wrong.is_err_and(|error| error.to_string().contains(key)));
}

/// The second text of a pair has another type, which the scores show.
#[test]
fn pairs_have_types() {
    let toy = classifier(1);
    let same = |toy: &Toy| {
        let types = toy.elements("token_types.weight");
        let first: Vec<u8> = types[..N].iter().chain(&types[..N]).flat_map(|x| x.to_le_bytes()).collect();
        toy.clone().tensor_data("token_types.weight", gabion::quant::TensorType::F32, &[N as u64, 2], first)
    };
    for runtime in runtimes() {
        let score = |toy: &Toy| {
            let mut embedder = load(toy, &runtime).embedder(&EmbedderOptions::default()).unwrap();
            let scores = embedder.rerank("the cat", &["a dog sat", "the mat", "a dog sat"]).unwrap();
            let pairs = [("the cat", Some("a dog sat")), ("the cat", Some("the mat"))];
            let classified = embedder.classify(&pairs).unwrap();
            assert!((scores[0] - classified[0][0]).abs() < 1e-5 && (scores[1] - classified[1][0]).abs() < 1e-5);
            assert!((scores[0] - scores[2]).abs() < 1e-5 && (scores[0] - scores[1]).abs() > 1e-3, "{scores:?}");
            scores[0]
        };
        let (typed, untyped) = (score(&toy), score(&same(&toy)));
        assert!((typed - untyped).abs() > 1e-3, "types have their part: {typed} {untyped}");
        let first = &states(&ids(&["[CLS]", "▁the", "▁cat", "[SEP]", "▁a", "▁dog", "▁sat", "[SEP]"]))[..N];
        let pooled: Vec<f64> = linear(&toy, "cls", first).iter().map(|x| x.tanh()).collect();
        let by_hand = linear(&toy, "cls.output", &pooled)[0];
        assert!((by_hand - f64::from(untyped)).abs() < 1e-4, "the tokens of a pair: {by_hand} {untyped}");
    }
}

#[test]
fn the_second_text_of_a_pair_is_cut() {
    let with = |truncate| EmbedderOptions { max_tokens: 7, truncate, ..Default::default() };
    let mut cutting = embedder(&classifier(1), &with(true));
    let long = cutting.rerank("the cat", &["a dog sat on the mat"]).unwrap();
    assert_eq!(long, cutting.rerank("the cat", &["a dog"]).unwrap());
    let refused = |result: gabion::Result<Vec<f32>>| matches!(result, Err(gabion::Error::ContextFull { limit: 7, .. }));
    assert!(refused(cutting.rerank("the cat sat on the mat", &["a"])), "a query is never cut");
    assert!(refused(embedder(&classifier(1), &with(false)).rerank("the cat", &["a dog sat on the mat"])));
}

#[test]
fn a_model_that_says_yes_or_no_gives_the_probability_of_yes() {
    let labels = Owned::Strings(["yes", "no"].map(str::to_owned).into());
    let mut embedder = embedder(&classifier(2).set("classifier.output_labels", labels), &EmbedderOptions::default());
    let logits = embedder.classify(&[("the cat", Some("a mat"))]).unwrap().remove(0);
    let [yes, no] = [logits[0], logits[1]].map(|x| f64::from(x).exp());
    let score = embedder.rerank("the cat", &["a mat"]).unwrap()[0];
    assert!((f64::from(score) - yes / (yes + no)).abs() < 1e-6);
}

/// Dense layer, GELU, norm, embedding table.
fn masked() -> Toy {
    let n = N as u64;
    let toy = toy::bert().random_tensor("mlm.dense.weight", &[n, n]).random_tensor("mlm.dense.bias", &[n]);
    let toy = toy.random_tensor("mlm.norm.weight", &[n]).random_tensor("mlm.norm.bias", &[n]);
    toy.random_tensor("mlm.output.bias", &[WORDS.len() as u64])
}

#[test]
fn masked_words_are_told_by_their_places() {
    let toy = masked();
    let tokens = ids(&["[CLS]", "▁the", "[MASK]", "▁on", "[MASK]", "[SEP]"]);
    let states = states(&tokens);
    let bias = toy.elements("mlm.output.bias");
    let probabilities = |place: usize| {
        let x: Vec<f64> = linear(&toy, "mlm.dense", &states[place * N..][..N]).iter().map(|&x| gelu(x)).collect();
        let mean = x.iter().sum::<f64>() / N as f64;
        let spread = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / N as f64 + 1e-12).sqrt();
        let (weight, shift) = (toy.elements("mlm.norm.weight"), toy.elements("mlm.norm.bias"));
        let normed = x.iter().zip(weight.iter().zip(&shift));
        let x: Vec<f64> = normed.map(|(x, (w, b))| (x - mean) / spread * f64::from(*w) + f64::from(*b)).collect();
        let table = toy.elements("token_embd.weight");
        let logits = table
            .chunks_exact(N)
            .zip(&bias)
            .map(|(row, b)| (row.iter().zip(&x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(*b)).exp());
        let logits: Vec<f64> = logits.collect();
        let sum: f64 = logits.iter().sum();
        logits.into_iter().map(move |x| x / sum).collect::<Vec<_>>()
    };
    for runtime in runtimes() {
        let mut embedder = load(&toy, &runtime).embedder(&EmbedderOptions::default()).unwrap();
        let found = embedder.fill_mask("the [MASK] on [MASK]", 3).unwrap();
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        for (place, guesses) in [2, 4].into_iter().zip(&found) {
            let wanted = probabilities(place);
            assert!(guesses.is_sorted_by(|a, b| a.probability >= b.probability));
            let best = wanted.iter().copied().fold(0.0, f64::max);
            assert!((best - f64::from(guesses[0].probability)).abs() < 1e-5, "{guesses:?}");
            for guess in guesses {
                assert!((wanted[guess.token as usize] - f64::from(guess.probability)).abs() < 1e-5, "{guess:?}");
                assert_eq!(guess.text.trim_start(), WORDS[guess.token as usize].trim_start_matches('▁'));
            }
        }
        let all = embedder.fill_mask("[MASK]", usize::MAX).unwrap();
        let sum: f32 = all[0].iter().map(|guess| guess.probability).sum();
        assert!(all[0].len() == WORDS.len() && (sum - 1.0).abs() < 1e-5);
    }
}

fn gelu(x: f64) -> f64 {
    // Φ by its series
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 * x * (1.0 + sum * std::f64::consts::FRAC_2_SQRT_PI)
}

//! Generation: stop strings split over tokens, whole characters, end-of-generation tokens, log-probabilities.

use gabion::gguf::Owned;
use gabion::{GenerateOptions, Model, ModelOptions, SamplerOptions, Session, StopReason, Token};
use gabion_tests::toy::{self, IM_END, N_EMBD, N_VOCAB, Toy};

use super::{cpu, session};

/// A model that answers any text by spelling `text` byte after byte, over and over: the embedding of a byte is a unit
/// vector of its own place in `text`, no layer adds anything, and the output row of the next byte looks for it.
fn speller(text: &[u8], then: u32) -> Model {
    assert!(text.len() < N_EMBD as usize);
    let (mut embed, mut output) = (matrix(), matrix());
    let mut ids: Vec<u32> = text.iter().map(|&byte| byte.into()).collect();
    ids.push(then);
    let mut seen = ids.clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), ids.len(), "each token has one successor");
    for (place, pair) in ids.windows(2).enumerate() {
        embed[pair[0] as usize][place] = 1.0;
        output[pair[1] as usize][place] = 1.0;
    }
    let flat = |rows: Vec<Vec<f32>>| rows.into_iter().flatten().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let ty = gabion::quant::TensorType::F32;
    silent(toy::llama())
        .tensor_data("token_embd.weight", ty, &[N_EMBD, N_VOCAB], flat(embed))
        .tensor_data("output.weight", ty, &[N_EMBD, N_VOCAB], flat(output))
        .load(&cpu(), &ModelOptions { exact: true, ..Default::default() })
        .unwrap()
}

fn matrix() -> Vec<Vec<f32>> {
    vec![vec![0.0; N_EMBD as usize]; N_VOCAB as usize]
}

/// Layers that add nothing to the residual stream.
fn silent(toy: Toy) -> Toy {
    let names = (0..2).flat_map(|i| [format!("blk.{i}.attn_output.weight"), format!("blk.{i}.ffn_down.weight")]);
    names.fold(toy, |toy, name| toy.fill(&name, 0.0))
}

struct Run {
    text: String,
    pieces: Vec<String>,
    tokens: Vec<Token>,
    stop: Option<StopReason>,
}

fn run(session: &mut Session, prompt: u32, options: GenerateOptions) -> Run {
    let options = GenerateOptions { sampler: SamplerOptions::greedy(), ..options };
    let (mut generation, _) = session.generate(&[prompt], &options).unwrap();
    let (mut pieces, mut tokens) = (Vec::new(), Vec::new());
    while let Some(piece) = generation.next().unwrap() {
        tokens.extend(piece.token);
        pieces.push(piece.text);
    }
    Run { text: pieces.concat(), pieces, tokens, stop: generation.stop_reason() }
}

fn stops(stop: &[&str]) -> GenerateOptions {
    GenerateOptions { stop: stop.iter().map(|s| s.to_string()).collect(), ..Default::default() }
}

#[test]
fn ends_at_the_end_of_the_turn() {
    let model = speller(b"Help, word", IM_END);
    let mut session = session(&model, 64, 0);
    let run = run(&mut session, b'H'.into(), stops(&[]));
    assert_eq!((run.text.as_str(), run.stop), ("elp, word", Some(StopReason::EndOfGeneration)));
    assert_eq!(run.tokens.last().unwrap().id, IM_END);
    assert_eq!(session.tokens().len(), 10, "the end token was picked, not taken into the context");
}

#[test]
fn goes_past_the_end_where_asked() {
    let model = speller(b"abc", IM_END);
    let options = GenerateOptions { ignore_eog: true, max_tokens: Some(3), ..Default::default() };
    let run = run(&mut session(&model, 64, 0), b'a'.into(), options);
    let ids: Vec<u32> = run.tokens.iter().map(|token| token.id).collect();
    assert_eq!((ids, run.stop), (vec![98, 99, IM_END], Some(StopReason::MaxTokens)));
}

/// The stop string comes one byte at a time; none of it may be let out.
#[test]
fn a_stop_string_over_many_tokens_is_held_back() {
    let model = speller(b"xab!cdEND.yz", IM_END);
    let mut session = session(&model, 64, 0);
    let held = run(&mut session, b'x'.into(), stops(&["END"]));
    assert_eq!((held.text.as_str(), held.stop), ("ab!cd", Some(StopReason::StopString)));
    assert!(held.pieces.iter().all(|piece| !piece.contains('E')), "{:?}", held.pieces);
    // a start that leads nowhere is let out in the end
    let passed = run(&mut session, b'x'.into(), stops(&["ENDING", "dEX"]));
    assert_eq!((passed.text.as_str(), passed.stop), ("ab!cdEND.yz", Some(StopReason::EndOfGeneration)));
    // the earliest of several
    let first = run(&mut session, b'x'.into(), stops(&["yz", "!c", "END"]));
    assert_eq!((first.text.as_str(), first.stop), ("ab", Some(StopReason::StopString)));
}

#[test]
fn what_is_held_comes_out_at_the_token_limit() {
    let model = speller(b"xabEND", IM_END);
    let options = GenerateOptions { max_tokens: Some(4), ..stops(&["ENDLESS"]) };
    let run = run(&mut session(&model, 64, 0), b'x'.into(), options);
    assert_eq!((run.text.as_str(), run.stop), ("abEN", Some(StopReason::MaxTokens)));
    assert_eq!(run.tokens.len(), 4);
}

#[test]
fn characters_come_whole() {
    let text = "x→😀é.";
    let model = speller(text.as_bytes(), IM_END);
    let mut session = session(&model, 64, 0);
    let whole = run(&mut session, b'x'.into(), stops(&[]));
    assert_eq!(whole.text, "→😀é.");
    assert!(whole.pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{:?}", whole.pieces);
    // cut in the middle of a character: its bytes become one replacement
    let cut = run(&mut session, b'x'.into(), GenerateOptions { max_tokens: Some(5), ..stops(&[]) });
    assert!(cut.text.starts_with('→') && cut.text.contains('\u{fffd}'), "{}", cut.text);
}

#[test]
fn log_probabilities_are_the_models() {
    let model = toy::llama().load(&cpu(), &ModelOptions { exact: true, ..Default::default() }).unwrap();
    let mut first = session(&model, 64, 0);
    let options = GenerateOptions { logprobs: 5, max_tokens: Some(8), ignore_eog: true, ..Default::default() };
    let run = run(&mut first, 5, options);
    let mut forced = session(&model, 64, 0);
    forced.sync(&[5]).unwrap();
    for token in &run.tokens {
        assert_eq!(token.top, gabion::sample::top_logprobs(forced.logits(), 5));
        assert_eq!((token.top[0].0, token.top[0].1), (token.id, token.logprob), "greedy takes the likeliest");
        forced.step(token.id).unwrap();
    }
}

#[test]
fn a_model_without_a_tokenizer_generates_ids() {
    let toy = toy::llama().without_tokenizer().set("general.name", Owned::String("bare".into()));
    let model = toy.load(&cpu(), &ModelOptions::default()).unwrap();
    assert!(matches!(model.tokenize("a", false, false), Err(gabion::Error::Tokenizer(_))));
    let run = run(&mut session(&model, 64, 0), 5, GenerateOptions { max_tokens: Some(8), ..Default::default() });
    assert_eq!((run.tokens.len(), run.text.as_str()), (8, ""));
}

#[test]
fn a_generation_goes_on_where_the_last_one_ended() {
    let model = toy::llama().load(&cpu(), &ModelOptions { exact: true, ..Default::default() }).unwrap();
    let greedy = |session: &mut Session, prompt: &[u32], n: usize| {
        let sampler = SamplerOptions::greedy();
        let options = GenerateOptions { max_tokens: Some(n), sampler, ignore_eog: true, ..Default::default() };
        let (mut generation, synced) = session.generate(prompt, &options).unwrap();
        let mut ids = Vec::new();
        while let Some(piece) = generation.next().unwrap() {
            ids.extend(piece.token.map(|token| token.id));
        }
        (ids, synced)
    };
    let mut whole = session(&model, 64, 0);
    let (all, _) = greedy(&mut whole, &[5, 6, 7], 20);
    let mut parts = session(&model, 64, 0);
    let mut context = vec![5, 6, 7];
    for _ in 0..4 {
        let (ids, synced) = greedy(&mut parts, &context, 5);
        assert!(synced.reused + 1 >= context.len() - 1 || context.len() == 3, "{synced:?}");
        context.extend(ids);
    }
    assert_eq!(context[3..], all);
}

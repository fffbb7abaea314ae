//! Tokens that the device picks, several in advance, are those that its logits give one by one.

use gabion::sample::Sampler;
use gabion::{Error, GenerateOptions, SamplerOptions, Session};

use super::{Subject, subjects, tokens};

/// What `sampler` picks from all logits, step by step.
fn one_by_one(subject: &Subject, prompt: &[u32], sampler: SamplerOptions, n: usize) -> Vec<u32> {
    let mut session = subject.session(128, 0);
    let mut sampler = Sampler::new(sampler).unwrap();
    session.sync(prompt).unwrap();
    let mut ids = Vec::new();
    while ids.len() < n {
        ids.push(sampler.pick(session.logits()).unwrap());
        session.step(ids[ids.len() - 1]).unwrap();
    }
    ids
}

fn options(sampler: SamplerOptions, n: Option<usize>) -> GenerateOptions {
    GenerateOptions { max_tokens: n, sampler, ignore_eog: true, ..Default::default() }
}

/// The first `n` tokens of a generation that would go on to `most`.
fn generated(
    session: &mut Session,
    prompt: &[u32],
    sampler: SamplerOptions,
    n: usize,
    most: Option<usize>,
) -> Vec<u32> {
    let (mut generation, _) = session.generate(prompt, &options(sampler, most)).unwrap();
    let mut ids = Vec::new();
    while ids.len() < n {
        ids.extend(generation.next().unwrap().expect("it goes on").token.map(|token| token.id));
    }
    ids
}

fn samplers() -> [SamplerOptions; 4] {
    let drawn = SamplerOptions { temperature: 1.3, top_k: 40, top_p: 0.99, min_p: 0.01, seed: 11 };
    [SamplerOptions::greedy(), drawn, SamplerOptions { top_k: 1, ..drawn }, SamplerOptions { top_k: 256, ..drawn }]
}

#[test]
fn the_same_tokens_as_from_all_logits() {
    for subject in subjects() {
        for sampler in samplers() {
            let wanted = one_by_one(subject, &tokens(9), sampler, 60);
            for n_batch in [1, 3, 0] {
                let mut session = subject.session(128, n_batch);
                let got = generated(&mut session, &tokens(9), sampler, 60, Some(60));
                assert_eq!(got, wanted, "{}, {sampler:?}, batches of {n_batch}", subject.name);
            }
        }
    }
}

/// A generation that ends long before what was computed in advance leaves nothing of that behind.
#[test]
fn what_was_computed_in_advance_is_not_seen() {
    for subject in subjects() {
        for n_batch in [1, 4, 64] {
            let mut session = subject.session(128, n_batch);
            let mut context = tokens(40);
            for round in 0..6 {
                let ids = generated(&mut session, &context, SamplerOptions::greedy(), 2 + round, None);
                context.extend(&ids[..ids.len() - 1]);
                assert_eq!(session.tokens(), context, "{}", subject.name);
                let logits = session.computed_logits().unwrap().to_vec();
                subject.assert_same(&subject.fresh(&context, 0), &logits, "after a generation");
                context.truncate(context.len() - round);
                context.push(7);
                session.sync(&context).unwrap();
                subject.assert_fresh(&session, "going on");
            }
        }
    }
}

#[test]
fn log_probabilities_come_along() {
    for subject in subjects() {
        for sampler in samplers() {
            let mut session = subject.session(64, 0);
            let options = GenerateOptions { logprobs: 5, ..options(sampler, Some(12)) };
            let (mut generation, _) = session.generate(&tokens(5), &options).unwrap();
            let mut forced = subject.session(64, 0);
            forced.sync(&tokens(5)).unwrap();
            while let Some(piece) = generation.next().unwrap() {
                let Some(token) = piece.token else { continue };
                let wanted = gabion::sample::top_logprobs(forced.logits(), 5);
                let close = |a: &(u32, f32), b: &(u32, f32)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-4;
                let same = wanted.len() == token.top.len() && wanted.iter().zip(&token.top).all(|(a, b)| close(a, b));
                assert!(same, "{}: {wanted:?} {:?}", subject.name, token.top);
                assert!(token.logprob <= token.top[0].1);
                forced.step(token.id).unwrap();
            }
        }
    }
}

/// Cancelling while steps are under way.
#[test]
fn cancelling_amid_a_chain_harms_nothing() {
    for subject in subjects() {
        let mut session = subject.session(128, 0);
        let flag = session.cancel_flag();
        let (mut generation, _) = session.generate(&tokens(5), &options(SamplerOptions::greedy(), None)).unwrap();
        (0..4).for_each(|_| drop(generation.next().unwrap()));
        flag.cancel();
        assert!(matches!(generation.next(), Err(Error::Cancelled)), "{}", subject.name);
        drop(generation);
        session.sync(&tokens(8)).unwrap();
        subject.assert_fresh(&session, "after a cancel");
    }
}

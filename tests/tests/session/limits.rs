//! Arguments at and beyond their limits: typed errors, and a session that goes on.

use gabion::{Error, GenerateOptions, SamplerOptions, SessionOptions, StopReason};
use gabion_tests::toy::N_VOCAB;

use super::{session, subjects, tokens};

#[test]
fn a_full_context_is_an_error_and_loses_nothing() {
    for subject in subjects() {
        let name = &subject.name;
        let mut session = subject.session(16, 4);
        session.sync(&tokens(16)).unwrap();
        let full = |error: Error| matches!(error, Error::ContextFull { wanted: 17, limit: 16 });
        assert!(full(session.step(1).unwrap_err()), "{name}");
        assert!(full(session.sync(&tokens(17)).unwrap_err()));
        assert!(full(session.score(&tokens(17)).unwrap_err()));
        assert_eq!(session.tokens(), tokens(16));
        subject.assert_fresh(&session, "after refusals");
    }
}

#[test]
fn generation_ends_where_the_context_does() {
    for subject in subjects() {
        let name = &subject.name;
        let mut session = subject.session(16, 0);
        let options = GenerateOptions { sampler: SamplerOptions::greedy(), ignore_eog: true, ..Default::default() };
        let (mut generation, _) = session.generate(&tokens(10), &options).unwrap();
        let mut pieces = 0;
        while let Some(piece) = generation.next().unwrap() {
            pieces += usize::from(piece.token.is_some());
        }
        // the last token is picked from a full context and never enters it
        assert_eq!((pieces, generation.stop_reason()), (7, Some(StopReason::ContextFull)), "{name}");
        assert!(generation.next().unwrap().is_none());
    }
}

#[test]
fn bad_tokens_are_refused() {
    let model = &subjects()[0].model;
    let mut session = session(model, 16, 0);
    let invalid = |error: Error| matches!(error, Error::InvalidArgument(_));
    assert!(invalid(session.sync(&[]).unwrap_err()));
    assert!(invalid(session.score(&[]).unwrap_err()));
    for id in [N_VOCAB as u32, u32::MAX] {
        assert!(invalid(session.sync(&[1, id]).unwrap_err()));
        assert!(invalid(session.step(id).unwrap_err()));
        assert!(invalid(session.score(&[id]).unwrap_err()));
    }
    session.sync(&[N_VOCAB as u32 - 1]).unwrap();
}

#[test]
fn bad_options_are_refused() {
    let model = &subjects()[0].model;
    let open = |n_ctx, n_batch| model.session(&SessionOptions { n_ctx, n_batch, kv: None });
    for n_ctx in [(1 << 24) + 1, usize::MAX] {
        assert!(matches!(open(n_ctx, 0).err(), Some(Error::InvalidArgument(_))), "{n_ctx}");
    }
    assert_eq!(open(0, 0).unwrap().n_ctx(), 256, "what the model was trained for");
    assert_eq!(open(1, usize::MAX).unwrap().n_ctx(), 1);
    let mut session = session(model, 16, 0);
    let stops: [Vec<String>; 3] = [vec![String::new()], vec!["x".repeat(5000)], vec!["x".into(); 65]];
    for stop in stops {
        let options = GenerateOptions { stop, ..Default::default() };
        assert!(matches!(session.generate(&[1], &options).err(), Some(Error::InvalidArgument(_))));
    }
    let nan = SamplerOptions { top_p: f32::NAN, ..Default::default() };
    let options = GenerateOptions { sampler: nan, ..Default::default() };
    assert!(matches!(session.generate(&[1], &options).err(), Some(Error::InvalidArgument(_))));
}

#[test]
fn no_tokens_wanted() {
    let model = &subjects()[0].model;
    let mut session = session(model, 16, 0);
    let options = GenerateOptions { max_tokens: Some(0), ..Default::default() };
    let (mut generation, _) = session.generate(&[1], &options).unwrap();
    assert!(generation.next().unwrap().is_none());
    assert_eq!(generation.stop_reason(), Some(StopReason::MaxTokens));
}

//! Models that carry a state from row to row cannot go back to any place, but to the ends of the last prompts.

use gabion::{Error, GenerateOptions, SamplerOptions, Session, Synced};

use super::{Subject, subjects, tokens};

fn recurrent() -> impl Iterator<Item = &'static Subject> {
    subjects().iter().filter(|subject| subject.name.starts_with("qwen35"))
}

/// Answers `prompt` with some tokens.
fn answer(session: &mut Session, prompt: &[u32], n: usize) -> (Vec<u32>, Synced) {
    let sampler = SamplerOptions::greedy();
    let options = GenerateOptions { max_tokens: Some(40), sampler, ignore_eog: true, ..Default::default() };
    let (mut generation, synced) = session.generate(prompt, &options).unwrap();
    let ids = (0..n).filter_map(|_| generation.next().unwrap()?.token.map(|token| token.id));
    (ids.collect(), synced)
}

#[test]
fn an_answer_can_be_had_again() {
    for subject in recurrent() {
        let mut session = subject.session(128, 7);
        let (first, synced) = answer(&mut session, &tokens(20), 12);
        assert_eq!(synced, Synced { reused: 0, computed: 20 });
        for n in [12, 5, 1] {
            let (again, synced) = answer(&mut session, &tokens(20), n);
            assert_eq!(again, first[..n], "{}", subject.name);
            assert_eq!(synced, Synced { reused: 20, computed: 0 }, "{}", subject.name);
        }
    }
}

/// A chat whose last question is changed, and then the one before.
#[test]
fn the_last_questions_can_be_changed() {
    for subject in recurrent() {
        let mut session = subject.session(128, 0);
        let mut chat = tokens(15);
        let mut ends = Vec::new();
        for round in 0..4 {
            let (ids, synced) = answer(&mut session, &chat, 6);
            assert_eq!(synced.reused, if round == 0 { 0 } else { chat.len() - 9 }, "{}", subject.name);
            ends.push(chat.len());
            chat.extend(&ids[..5]);
            chat.extend(tokens(9));
        }
        // the last question, again, and the one before it: three ends ago nothing is kept
        for (end, reused, new) in [(ends[3], ends[2], 249), (ends[3], ends[2], 248), (ends[2], 0, 247)] {
            let mut other = chat[..end - 4].to_vec();
            other.extend([new, 3]);
            assert_eq!(session.sync(&other).unwrap().reused, reused, "{}", subject.name);
            subject.assert_fresh(&session, "another question");
        }
    }
}

/// After an error amid a batch the state is lost, not the context.
#[test]
fn a_cancelled_batch_is_made_good() {
    for subject in recurrent() {
        for kept in [0, 8] {
            let mut session = subject.session(128, 16);
            (kept > 0).then(|| session.sync(&tokens(kept)).unwrap());
            // a step that is cancelled before anything runs, as a long prompt is between its batches
            session.sync(&tokens(40)[..kept.max(1)]).unwrap();
            let flag = session.cancel_flag();
            flag.cancel();
            assert!(matches!(session.step(5), Err(Error::Cancelled)), "{}", subject.name);
            let context = session.tokens().to_vec();
            session.step(6).unwrap();
            assert_eq!(session.tokens(), [context, vec![6]].concat(), "{}", subject.name);
            subject.assert_fresh(&session, "a step after a cancelled one");
            session.sync(&tokens(40)).unwrap();
            subject.assert_fresh(&session, "a longer prompt");
        }
    }
}

/// Prompts one after another that share less and less.
#[test]
fn copies_of_what_was_dropped_are_not_used() {
    for subject in recurrent() {
        let mut session = subject.session(128, 0);
        for keep in [30, 20, 25, 10, 10, 28, 0, 5] {
            let mut prompt = tokens(30)[..keep].to_vec();
            prompt.extend((0..3).map(|i| (200 + keep as u32 + i) % 250));
            session.sync(&prompt).unwrap();
            subject.assert_fresh(&session, &format!("{keep} kept"));
            answer(&mut session, &prompt, 4);
            assert_eq!(session.tokens()[..prompt.len()], prompt);
        }
    }
}

//! Models that carry a state from row to row cannot go back to any place, but to the ends of the last prompts.

use std::time::Duration;

use gabion::{Error, GenerateOptions, SamplerOptions, Session, SessionOptions, Synced};

use super::{Subject, subjects, tokens};

fn recurrent() -> impl Iterator<Item = &'static Subject> {
    subjects().iter().filter(|subject| ["qwen35", "rwkv7"].iter().any(|arch| subject.name.starts_with(arch)))
}

/// Answers `prompt` with some tokens.
pub(super) fn answer(session: &mut Session, prompt: &[u32], n: usize) -> (Vec<u32>, Synced) {
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

/// A batch that is cancelled amid its ops leaves states that nobody knows; the context is as it was.
#[test]
fn a_cancelled_batch_is_made_good() {
    let subject = recurrent().next().unwrap();
    // the attention of the second layer takes the longest
    let long: Vec<u32> = (0..4000).map(|i| i % 250).collect();
    let options = SessionOptions { n_ctx: long.len(), n_batch: long.len(), kv: None };
    for at_once in [true, false] {
        let mut session = subject.model.session(&options).unwrap();
        match at_once {
            true => drop(session.sync(&long[..10]).unwrap()), // the end of a prompt, where it can go back to
            false => long[..10].iter().for_each(|&token| session.step(token).unwrap()),
        }
        let flag = session.cancel_flag();
        let waiter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            flag.cancel();
        });
        assert!(matches!(session.sync(&long), Err(Error::Cancelled)));
        waiter.join().unwrap();
        assert_eq!(session.tokens(), &long[..10]);
        session.step(6).unwrap();
        assert_eq!(session.tokens()[10..], [6]);
        subject.assert_fresh(&session, "a step after a cancelled batch");
    }
}

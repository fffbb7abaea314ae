//! Reusing, rewinding and cutting into chunks change nothing.

use gabion::Synced;
use gabion_tests::toy::WINDOW;

use super::{subjects, tokens};

#[test]
fn chunks_of_any_size_give_the_same() {
    for subject in subjects() {
        let tokens = tokens(50);
        let whole = subject.fresh(&tokens, 128);
        for n_batch in [1, 2, 7, 16, 49] {
            subject.assert_same(&whole, &subject.fresh(&tokens, n_batch), &format!("{n_batch} at once"));
        }
    }
}

#[test]
fn steps_give_the_same() {
    for subject in subjects() {
        let tokens = tokens(50);
        let mut session = subject.session(128, 0);
        tokens.iter().for_each(|&token| session.step(token).unwrap());
        subject.assert_fresh(&session, "token by token");
    }
}

#[test]
fn a_longer_context_reuses_the_shorter() {
    for subject in subjects() {
        let name = &subject.name;
        let tokens = tokens(60);
        let mut session = subject.session(128, 0);
        for (end, reused) in [(5, 0), (30, 5), (31, 30), (60, 31)] {
            let synced = session.sync(&tokens[..end]).unwrap();
            assert_eq!(synced, Synced { reused, computed: end - reused }, "{name}");
            subject.assert_fresh(&session, &format!("{end} tokens"));
        }
        assert_eq!(session.sync(&tokens).unwrap(), Synced { reused: 60, computed: 0 }, "{name}");
    }
}

/// Another continuation from every point of a context: within a window's ring and far behind it.
#[test]
fn any_rewind_gives_the_same() {
    let window = WINDOW as usize;
    for subject in subjects() {
        let name = &subject.name;
        for n_batch in [1, 4, 64] {
            let first = tokens(60);
            for keep in [0, 1, window, 40, 59 - window - n_batch.min(40), 59 - window, 60 - window, 57, 58, 59] {
                let mut second = first[..keep].to_vec();
                second.extend([249, 1, 2]);
                let mut session = subject.session(128, n_batch);
                session.sync(&first).unwrap();
                let synced = session.sync(&second).unwrap();
                assert!(synced.reused <= keep, "{name}: {synced:?}");
                assert_eq!(session.tokens(), second);
                subject.assert_fresh(&session, &format!("batch {n_batch}, kept {keep}"));
            }
        }
    }
}

/// A shorter prefix of what is there: only its last token is computed, where the window allows it.
#[test]
fn a_prefix_of_the_context() {
    for subject in subjects() {
        let name = &subject.name;
        let tokens = tokens(40);
        let mut session = subject.session(128, 0);
        session.sync(&tokens).unwrap();
        for end in [39, 38, 20, 1] {
            let synced = session.sync(&tokens[..end]).unwrap();
            assert_eq!(synced.reused + synced.computed, end);
            if name.starts_with("llama") {
                assert_eq!(synced.computed, 1, "{name}: no window, nothing is lost");
            }
            subject.assert_fresh(&session, &format!("first {end}"));
        }
    }
}

/// Rewinds one after another: each may only rely on what the ring holds after all writes before it.
#[test]
fn many_rewinds_in_a_row() {
    for subject in subjects() {
        let mut rng = gabion::sample::Rng::new(3);
        let mut session = subject.session(64, 4);
        let mut context: Vec<u32> = Vec::new();
        for round in 0..60 {
            context.truncate(context.len() - context.len().min(rng.next_u32() as usize % 20));
            let more = 1 + rng.next_u32() as usize % 15;
            context.extend((0..more).map(|_| rng.next_u32() % 250));
            context.truncate(60);
            session.sync(&context).unwrap();
            subject.assert_fresh(&session, &format!("round {round}"));
        }
    }
}

#[test]
fn scores_agree_with_logits() {
    for subject in subjects() {
        let tokens = tokens(50);
        let scores = subject.session(128, 0).score(&tokens).unwrap();
        let mut session = subject.session(128, 0);
        let mut nll = Vec::new();
        for pair in tokens.windows(2) {
            session.step(pair[0]).unwrap();
            let norm = gabion::sample::log_sum_exp(session.logits());
            nll.push((norm - f64::from(session.logits()[pair[1] as usize])) as f32);
        }
        subject.assert_same(&nll, &scores, "scores");
    }
}

#[test]
fn clear_starts_over() {
    for subject in subjects() {
        let mut session = subject.session(128, 0);
        session.sync(&tokens(30)).unwrap();
        session.clear();
        assert!(session.tokens().is_empty() && session.logits().is_empty());
        assert_eq!(session.sync(&tokens(9)).unwrap(), Synced { reused: 0, computed: 9 });
        subject.assert_fresh(&session, "after a clear");
    }
}

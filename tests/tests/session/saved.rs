//! Sessions that are saved, restored and forked go on as if nothing had happened, on the same device or another.

use std::path::PathBuf;

use gabion::device::cpu::Level;
use gabion::{Error, KvType, Model, ModelOptions, Session, SessionOptions};
use gabion_tests::toy::WINDOW;
use gabion_tests::{devices, tiny_models};

use super::{Subject, bits, recurrent, subjects, tokens};

const KV: [KvType; 4] = [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0];

fn of_type(model: &Model, kv: KvType, n_ctx: usize, n_batch: usize) -> Session {
    model.session(&SessionOptions { n_ctx, n_batch, kv: Some(kv) }).unwrap()
}

/// Adds tokens to a session, one by one.
fn go_on(session: &mut Session, ids: &[u32]) {
    ids.iter().for_each(|&id| session.step(id).unwrap());
}

#[test]
fn a_restored_session_goes_on() {
    for subject in subjects() {
        for (n, n_ctx, n_batch) in [(50, 128, 0), (50, 60, 3), (1, 16, 0), (5, 200, 1)] {
            let mut first = subject.session(128, 7);
            first.sync(&tokens(n)).unwrap();
            let saved = first.save().unwrap();
            let mut second = subject.session(n_ctx, n_batch);
            second.sync(&tokens(9)).unwrap();
            second.restore(&saved).unwrap();
            assert_eq!(second.tokens(), first.tokens());
            assert_eq!(bits(second.logits()), bits(first.logits()), "{}: the logits are saved", subject.name);
            go_on(&mut second, &[3, 1, 4, 1, 5]);
            subject.assert_fresh(&second, &format!("{n} tokens, restored to {n_ctx}"));
            go_on(&mut first, &[3, 1, 4, 1, 5]);
            subject.assert_same(first.logits(), second.logits(), "the one that was saved");
        }
    }
}

/// Rings hold what was saved of them: places that a restored session can go back to, and those where it starts anew.
#[test]
fn a_restored_session_goes_back() {
    let window = WINDOW as usize;
    for subject in subjects() {
        let mut first = subject.session(128, 4);
        first.sync(&tokens(60)).unwrap();
        go_on(&mut first, &[7, 8]);
        let saved = first.save().unwrap();
        for keep in [61, 60, 59, 62 - window, 40, 1] {
            let mut second = subject.session(128, 3);
            second.restore(&saved).unwrap();
            let mut other = first.tokens()[..keep].to_vec();
            other.extend([200, 100]);
            second.sync(&other).unwrap();
            subject.assert_fresh(&second, &format!("back to {keep}"));
        }
    }
}

#[test]
fn a_fork_goes_its_own_way() {
    for subject in subjects() {
        let mut first = subject.session(128, 0);
        first.sync(&tokens(40)).unwrap();
        let mut second = first.fork().unwrap();
        assert_eq!(bits(first.logits()), bits(second.logits()));
        go_on(&mut second, &[1, 2, 3]);
        go_on(&mut first, &[4, 5]);
        subject.assert_fresh(&first, "the original");
        subject.assert_fresh(&second, "the fork");
        drop(first);
        second.sync(&tokens(20)).unwrap();
        subject.assert_fresh(&second, "the fork, back");
    }
}

/// A fork may go back wherever its original could.
#[test]
fn a_fork_has_the_copies_of_recurrent_states() {
    for subject in subjects().iter().filter(|subject| subject.name.starts_with("qwen35")) {
        let mut first = subject.session(128, 7);
        let (ids, _) = recurrent::answer(&mut first, &tokens(20), 8);
        let mut second = first.fork().unwrap();
        let (again, synced) = recurrent::answer(&mut second, &tokens(20), 8);
        assert_eq!((again, synced.reused), (ids, 20), "{}", subject.name);
    }
}

/// What one device saves, another gives back to the byte: every cache type.
#[test]
fn devices_save_the_same() {
    for arch in ["llama", "gemma3", "qwen35"] {
        let exact: Vec<_> = subjects().iter().filter(|s| s.name.starts_with(&format!("{arch}, exact"))).collect();
        for kv in KV {
            let mut first = of_type(&exact[0].model, kv, 128, 0);
            first.sync(&tokens(50)).unwrap();
            let saved = first.save().unwrap();
            for other in &exact[1..] {
                give_back(&mut of_type(&other.model, kv, 128, 0), &saved, &other.name, kv);
            }
        }
    }
}

/// The same of models with all that a cache can be: keys that are values too, keys of other layers, an encoder's, states.
#[test]
fn families_save_the_same() {
    let runtimes = [Some(devices::cpu(Level::best(), Some(2))), devices::gpu_runtime()];
    for name in ["deepseek2", "gemma4", "gpt-oss", "mamba2", "lfm2", "qwen3next", "rwkv7", "t5"] {
        let wanted = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == name);
        let Some(path) = tiny_models().into_iter().find(wanted) else { continue };
        let open = |runtime| Model::open(&path, runtime, &ModelOptions { exact: true, gelu: None }, &mut |_| true);
        let models: Vec<Model> = runtimes.iter().flatten().map(|runtime| open(runtime).unwrap()).collect();
        for (model, kv) in models.iter().flat_map(|model| [KvType::F16, KvType::Q4_0].map(|kv| (model, kv))) {
            let mut first = of_type(model, kv, 100, 0);
            let start = model.decoder_start();
            if start.is_some() {
                first.encode(&tokens(33)).unwrap();
            }
            let prompt: Vec<u32> = start.into_iter().chain(tokens(40)).collect();
            first.sync(&prompt).unwrap();
            let saved = first.save().unwrap();
            for other in &models {
                let mut second = of_type(other, kv, 100, 0);
                give_back(&mut second, &saved, name, kv);
                go_on(&mut second, &[9]);
                let mut fork = first.fork().unwrap();
                go_on(&mut fork, &[9]);
                let off = gabion_tests::golden::nmse(fork.logits(), second.logits());
                assert!(off < 1e-6, "{name}, {kv:?}: {off:.1e}");
            }
        }
    }
}

fn give_back(session: &mut Session, saved: &[u8], name: &str, kv: KvType) {
    session.restore(saved).unwrap();
    assert!(session.save().unwrap() == saved, "{name}, {kv:?}: saved again it differs");
}

/// What cannot be taken changes nothing.
#[test]
fn what_does_not_fit_is_refused() {
    let refused = |session: &mut Session, saved: &[u8], why: &str| {
        let before = (session.tokens().to_vec(), bits(session.logits()));
        let error = session.restore(saved).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(before, (session.tokens().to_vec(), bits(session.logits())));
    };
    let named = |start: &str| subjects().iter().find(|subject| subject.name.starts_with(start)).unwrap();
    let (llama, gemma) = (named("llama, exact"), named("gemma3, exact"));
    let saved = |subject: &Subject| {
        let mut session = subject.session(128, 0);
        session.sync(&tokens(30)).unwrap();
        session.save().unwrap()
    };
    let good = saved(llama);
    let mut session = llama.session(128, 0);
    session.sync(&tokens(5)).unwrap();
    refused(&mut session, &saved(gemma), "another model");
    refused(&mut of_type(&llama.model, KvType::Q8_0, 128, 0), &good, "make one of f32");
    let full = llama.session(29, 0).restore(&good);
    assert!(matches!(full, Err(Error::ContextFull { wanted: 30, limit: 29 })), "{full:?}");
    for len in [0, 7, 8, 20, 36, good.len() / 2, good.len() - 1] {
        refused(&mut session, &good[..len], "damaged");
    }
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        refused(&mut session, &bad, "damaged");
    }
    session.restore(&good).unwrap();
    llama.assert_fresh(&session, "after all that");
}

/// Bytes that were made to deceive have a right checksum. They end in an error, or in a session that computes something.
#[test]
fn forged_bytes_are_survived() {
    for subject in subjects().iter().filter(|subject| subject.name.contains("exact, fastest")) {
        let mut first = subject.session(128, 0);
        first.sync(&tokens(12)).unwrap();
        let good = first.save().unwrap();
        let head = good.len().min(16 + 4 * 5 + 4 * 12 + 16 * 8);
        for at in (16..head).step_by(4) {
            for value in [0, 1, 11, 13, 0x7fff_ffff, u32::MAX] {
                let mut forged = good.clone();
                forged[at..at + 4].copy_from_slice(&value.to_le_bytes());
                let end = forged.len() - 8;
                let sum = fnv(&forged[..end]);
                forged[end..].copy_from_slice(&sum.to_le_bytes());
                let mut session = subject.session(128, 0);
                if session.restore(&forged).is_ok() {
                    session.step(1).unwrap();
                    session.save().unwrap();
                }
            }
        }
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

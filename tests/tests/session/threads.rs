//! Any number of threads gives the same bits; sessions of one model run side by side; runs repeat.

use gabion::device::cpu::Level;
use gabion::{GenerateOptions, ModelOptions, SamplerOptions};
use gabion_tests::devices;
use gabion_tests::toy::{self, Toy};

use super::{bits, cpu, session, subjects, tokens};

fn answer(threads: usize, level: Level, toy: &Toy, exact: bool) -> Vec<u32> {
    let model = toy.load(&devices::cpu(level, Some(threads)), &ModelOptions { exact, ..Default::default() }).unwrap();
    let mut session = session(&model, 64, 16);
    session.sync(&tokens(40)).unwrap();
    bits(session.logits())
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for level in devices::levels() {
        for (toy, exact) in [(toy::llama(), true), (toy::gemma3(), false)] {
            let one = answer(1, level, &toy, exact);
            for threads in [2, 3, 8] {
                assert_eq!(answer(threads, level, &toy, exact), one, "{} with {threads} threads", level.name());
            }
        }
    }
}

/// The same work is the same to the bit, on every device, whatever runs beside it.
#[test]
fn sessions_of_one_model_run_side_by_side() {
    for subject in subjects() {
        let wanted: Vec<Vec<u32>> = (0..4).map(|i| bits(&subject.fresh(&tokens(20 + i), 0))).collect();
        std::thread::scope(|scope| {
            for (i, wanted) in wanted.iter().enumerate() {
                scope.spawn(move || {
                    for _ in 0..5 {
                        assert_eq!(&bits(&subject.fresh(&tokens(20 + i), 0)), wanted, "{}, thread {i}", subject.name);
                    }
                });
            }
        });
    }
}

#[test]
fn a_session_may_move_to_another_thread() {
    for subject in subjects() {
        let mut session = subject.session(64, 0);
        session.sync(&tokens(10)).unwrap();
        let moved = std::thread::spawn(move || {
            session.sync(&tokens(20)).unwrap();
            session.logits().to_vec()
        });
        subject.assert_same(&subject.fresh(&tokens(20), 0), &moved.join().unwrap(), "moved");
    }
}

/// The model may be dropped before its sessions, the runtime before its models.
#[test]
fn any_order_of_dropping() {
    let runtime = cpu();
    let model = toy::llama().load(&runtime, &ModelOptions::default()).unwrap();
    drop(runtime);
    let mut session = session(&model, 64, 0);
    drop(model);
    session.sync(&tokens(10)).unwrap();
    assert!(session.logits().iter().all(|x| x.is_finite()));
}

#[test]
fn a_seed_repeats_and_another_differs() {
    for subject in subjects() {
        let name = &subject.name;
        let run = |seed| {
            let sampler = SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed };
            let options = GenerateOptions { max_tokens: Some(40), sampler, ignore_eog: true, ..Default::default() };
            let mut session = subject.session(64, 0);
            let (mut generation, _) = session.generate(&tokens(5), &options).unwrap();
            let mut ids = Vec::new();
            while let Some(piece) = generation.next().unwrap() {
                ids.extend(piece.token.map(|token| token.id));
            }
            ids
        };
        assert_eq!(run(1), run(1), "{name}");
        assert_ne!(run(1), run(2), "{name}");
        assert_eq!(run(1).len(), 40);
    }
}

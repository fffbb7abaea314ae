//! Any number of threads gives the same bits; sessions of one model run side by side; runs repeat.

use gabion::device::cpu::Level;
use gabion::{GenerateOptions, ModelOptions, SamplerOptions};
use gabion_tests::devices;
use gabion_tests::toy::{self, Toy};

use super::{fresh, models, session, tokens};

fn on(threads: usize, level: Level, toy: &Toy, exact: bool) -> gabion::Model {
    toy.load(&devices::cpu(level, Some(threads)), &ModelOptions { exact }).unwrap()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for level in devices::levels() {
        for (toy, exact) in [(toy::llama(), true), (toy::gemma3(), false)] {
            let one = fresh(&on(1, level, &toy, exact), &tokens(40), 16);
            for threads in [2, 3, 8] {
                let more = fresh(&on(threads, level, &toy, exact), &tokens(40), 16);
                assert_eq!(more, one, "{} with {threads} threads", level.name());
            }
        }
    }
}

#[test]
fn sessions_of_one_model_run_side_by_side() {
    for (name, model) in models() {
        let wanted: Vec<Vec<u32>> = (0..4).map(|i| fresh(&model, &tokens(20 + i), 0)).collect();
        std::thread::scope(|scope| {
            for (i, wanted) in wanted.iter().enumerate() {
                let model = &model;
                scope.spawn(move || {
                    for _ in 0..20 {
                        assert_eq!(&fresh(model, &tokens(20 + i), 0), wanted, "{name}, thread {i}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_session_may_move_to_another_thread() {
    let (_, model) = models().remove(0);
    let mut session = session(&model, 64, 0);
    session.sync(&tokens(10)).unwrap();
    let moved = std::thread::spawn(move || {
        session.sync(&tokens(20)).unwrap();
        super::bits(session.logits())
    });
    assert_eq!(moved.join().unwrap(), fresh(&model, &tokens(20), 0));
}

/// The model may be dropped before its sessions, the runtime before its models.
#[test]
fn any_order_of_dropping() {
    let runtime = super::cpu();
    let model = toy::llama().load(&runtime, &ModelOptions::default()).unwrap();
    drop(runtime);
    let mut session = session(&model, 64, 0);
    let wanted = fresh(&model, &tokens(10), 0);
    drop(model);
    session.sync(&tokens(10)).unwrap();
    assert_eq!(super::bits(session.logits()), wanted);
}

#[test]
fn a_seed_repeats_and_another_differs() {
    for (name, model) in models() {
        let run = |seed| {
            let sampler = SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed };
            let options = GenerateOptions { max_tokens: Some(40), sampler, ignore_eog: true, ..Default::default() };
            let mut session = session(&model, 64, 0);
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

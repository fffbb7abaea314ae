//! The same on a software GPU, where chunks of another size take other kernels: equal within rounding, not to the bit.

use gabion::{Error, KvType, Model, ModelOptions, SessionOptions};
use gabion_tests::golden::nmse;
use gabion_tests::{devices, toy};

use super::tokens;

/// Exact mode on the CPU and here, or the same work cut otherwise.
const SAME: f64 = 1e-9;

fn models() -> Vec<(&'static str, Model, Model)> {
    let Some(gpu) = devices::gpu_runtime() else { return Vec::new() };
    let exact = ModelOptions { exact: true };
    let toys = [("llama", toy::llama()), ("gemma3", toy::gemma3())];
    toys.map(|(name, toy)| (name, toy.load(&gpu, &exact).unwrap(), toy.load(&super::cpu(), &exact).unwrap())).into()
}

fn session(model: &Model, n_batch: usize) -> gabion::Session {
    model.session(&SessionOptions { n_ctx: 128, n_batch, kv: Some(KvType::F32) }).unwrap()
}

fn fresh(model: &Model, tokens: &[u32], n_batch: usize) -> Vec<f32> {
    let mut session = session(model, n_batch);
    session.sync(tokens).unwrap();
    session.logits().to_vec()
}

#[test]
fn chunks_of_any_size_give_what_the_cpu_gives() {
    for (name, gpu, cpu) in models() {
        let wanted = fresh(&cpu, &tokens(50), 0);
        for n_batch in [1, 7, 16, 64] {
            let off = nmse(&wanted, &fresh(&gpu, &tokens(50), n_batch));
            assert!(off < SAME, "{name}, {n_batch} at once: {off:.1e}");
        }
    }
}

#[test]
fn any_rewind_gives_the_same() {
    for (name, gpu, cpu) in models() {
        let first = tokens(60);
        let mut session = session(&gpu, 4);
        for keep in [0, 1, 40, 50, 52, 57, 59] {
            session.sync(&first).unwrap();
            let second = [&first[..keep], &[249, 1, 2]].concat();
            session.sync(&second).unwrap();
            let off = nmse(&fresh(&cpu, &second, 0), session.logits());
            assert!(off < SAME, "{name}, kept {keep}: {off:.1e}");
        }
    }
}

#[test]
fn runs_repeat_to_the_bit() {
    for (name, gpu, _) in models() {
        assert_eq!(super::bits(&fresh(&gpu, &tokens(40), 0)), super::bits(&fresh(&gpu, &tokens(40), 0)), "{name}");
    }
}

#[test]
fn scores_are_the_cpus() {
    for (name, gpu, cpu) in models() {
        let off = nmse(&session(&cpu, 0).score(&tokens(50)).unwrap(), &session(&gpu, 0).score(&tokens(50)).unwrap());
        assert!(off < SAME, "{name}: {off:.1e}");
    }
}

#[test]
fn sessions_of_one_model_run_side_by_side() {
    for (name, gpu, cpu) in models() {
        std::thread::scope(|scope| {
            for i in 0..3 {
                let (gpu, cpu) = (&gpu, &cpu);
                scope.spawn(move || {
                    let wanted = fresh(cpu, &tokens(20 + i), 0);
                    for _ in 0..4 {
                        let off = nmse(&wanted, &fresh(gpu, &tokens(20 + i), 0));
                        assert!(off < SAME, "{name}, thread {i}: {off:.1e}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_cancelled_session_goes_on() {
    for (name, gpu, cpu) in models() {
        let mut session = session(&gpu, 1);
        let flag = session.cancel_flag();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(20));
            flag.cancel();
        });
        let long: Vec<u32> = tokens(128);
        let cancelled = session.sync(&long);
        stopper.join().unwrap();
        assert!(matches!(cancelled, Ok(_) | Err(Error::Cancelled)), "{name}: {cancelled:?}");
        session.clear();
        session.sync(&tokens(12)).unwrap();
        assert!(nmse(&fresh(&cpu, &tokens(12), 0), session.logits()) < SAME, "{name}");
    }
}

//! Cancelling from another thread: soon, as an error, and without harm.

use std::time::{Duration, Instant};

use gabion::{Error, ModelOptions, SessionOptions};
use gabion_tests::toy;

use super::{cpu, subjects, tokens};

#[test]
fn a_running_sync_stops() {
    let subject = &subjects()[0];
    let model = &subject.model;
    let long: Vec<u32> = (0..30_000).map(|i| i % 250).collect();
    let mut session = model.session(&SessionOptions { n_ctx: long.len(), n_batch: 32, kv: None }).unwrap();
    let flag = session.cancel_flag();
    let start = Instant::now();
    let waiter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        flag.cancel();
    });
    let error = session.sync(&long).unwrap_err();
    waiter.join().unwrap();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let done = session.tokens().len();
    assert!(done < long.len() && session.tokens() == &long[..done]);
    // what was computed is sound: going on gives what a fresh session gives
    let short = &long[..(done + 3).min(60)];
    session.sync(short).unwrap();
    subject.assert_fresh(&session, "after a cancel");
}

#[test]
fn loading_stops_where_progress_says_so() {
    let runtime = cpu();
    let total = toy::llama().load(&runtime, &ModelOptions::default()).unwrap().weight_bytes();
    assert!(total > 0);
    for stop_at in [0, 1, 5] {
        let mut calls = 0;
        let files = vec![gabion::gguf::BytesSource::new(toy::llama().bytes())];
        let mut progress = |_| {
            calls += 1;
            calls <= stop_at
        };
        let options = ModelOptions::default();
        let result = pollster::block_on(gabion::Model::load(files, &runtime, &options, &mut progress));
        assert!(matches!(result.err(), Some(Error::Cancelled)), "after {stop_at} calls");
        assert_eq!(calls, stop_at + 1);
    }
}

/// A cancelled generation leaves a session that gives the same as a fresh one.
#[test]
fn a_cancelled_generation_leaves_a_sound_session() {
    for subject in subjects() {
        let name = &subject.name;
        let mut session = subject.session(128, 0);
        let flag = session.cancel_flag();
        let (mut generation, _) = session.generate(&tokens(10), &Default::default()).unwrap();
        generation.next().unwrap();
        flag.cancel();
        let error = loop {
            match generation.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{name}: ended without noticing"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Cancelled), "{name}: {error}");
        drop(generation);
        session.sync(&tokens(12)).unwrap();
        subject.assert_fresh(&session, "after a cancel");
    }
}

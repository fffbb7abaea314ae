//! `bench`: llama-bench's tests and table, for every device and cache type asked for. Each test runs once before it is
//! measured.

mod noise;
mod report;
mod synthetic;

use std::time::Instant;

use gabion::{GenerateOptions, KvType, SamplerOptions, Session, SessionOptions};

use crate::args::{BenchArgs, Global};
use crate::failure::Failure;
use crate::generate::{check_interrupt, interruptible};
use crate::interrupt;
use crate::load::{Loaded, On, load_file, load_from};
use crate::output;
use report::{About, Report, Row};
use synthetic::Synthetic;

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    /// A prompt of so many tokens at once.
    Prompt(usize),
    /// So many tokens, each the likeliest after the one before, as a user's generation makes them.
    Generation(usize),
    /// So many given tokens one after another, and all logits after each, as llama-bench does it.
    Steps(usize),
}

/// Work after `depth` tokens that are there already.
#[derive(Clone, Copy)]
struct Test {
    work: Work,
    depth: usize,
}

impl Test {
    /// Every prompt and every generation at every depth.
    fn all(args: &BenchArgs) -> Vec<Self> {
        let prompts = args.n_prompt.iter().map(|&n| Work::Prompt(n));
        let generation = if args.steps { Work::Steps } else { Work::Generation };
        let work: Vec<Work> = prompts.chain(args.n_gen.iter().map(|&n| generation(n))).collect();
        let tests = args.n_depth.iter().flat_map(|&depth| work.iter().map(move |&work| Test { work, depth }));
        tests.filter(|test| test.len() > 0).collect()
    }

    fn len(self) -> usize {
        match self.work {
            Work::Prompt(n) | Work::Generation(n) | Work::Steps(n) => n,
        }
    }

    /// Tokens that a session must hold for it: a generation follows at least one.
    fn context(self) -> usize {
        self.depth.max(1) + self.len()
    }

    /// llama-bench's name.
    fn name(self) -> String {
        let work = match self.work {
            Work::Prompt(n) => format!("pp{n}"),
            Work::Generation(n) | Work::Steps(n) => format!("tg{n}"),
        };
        if self.depth == 0 { work } else { format!("{work} @ d{}", self.depth) }
    }

    /// Runs once over tokens of which the first `depth` are there before it starts; seconds.
    fn run(self, session: &mut Session, tokens: &[u32]) -> Result<f64, Failure> {
        match self.depth {
            0 => session.clear(),
            depth => interruptible(session, |session| session.sync(&tokens[..depth]).map(drop))?,
        }
        let start = Instant::now();
        match self.work {
            Work::Prompt(_) => interruptible(session, |session| session.sync(tokens).map(drop))?,
            Work::Generation(n) => return generate(session, &tokens[..self.depth.max(1)], n),
            Work::Steps(_) => {
                for &token in &tokens[self.depth..] {
                    interruptible(session, |session| session.step(token))?;
                }
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Tokens per second of each repetition.
    fn measure(self, session: &mut Session, repetitions: u32) -> Result<Vec<f64>, Failure> {
        let tokens = tokens(session.model().n_vocab(), self.depth + self.len());
        self.run(session, &tokens)?;
        let once = |_| Ok(self.len() as f64 / self.run(session, &tokens)?);
        (0..repetitions).map(once).collect()
    }
}

/// Seconds of generating `n` tokens after `tokens`. One more comes with these.
fn generate(session: &mut Session, tokens: &[u32], n: usize) -> Result<f64, Failure> {
    let sampler = SamplerOptions::greedy();
    let options = GenerateOptions { max_tokens: Some(n + 1), sampler, ignore_eog: true, ..GenerateOptions::default() };
    interrupt::watch(session.cancel_flag());
    let (mut generation, _) = session.generate(tokens, &options)?;
    generation.next()?;
    let start = Instant::now();
    while generation.next()?.is_some() {
        check_interrupt()?;
    }
    Ok(start.elapsed().as_secs_f64())
}

pub(crate) fn bench(global: &Global, args: &BenchArgs) -> Result<(), Failure> {
    let tests = Test::all(args);
    if tests.is_empty() {
        return Err(Failure::Usage("nothing to measure: give -p N or -n N above 0".into()));
    }
    let synthetic = args.synthetic.as_deref().map(Synthetic::parse).transpose()?;
    if synthetic.is_none() {
        global.model()?;
    }
    let mut report = Report::new(args.output);
    for on in devices(global) {
        let loaded = match &synthetic {
            Some(source) => load_from(global, on, source.clone())?,
            None => load_file(global, on)?,
        };
        on_device(global, args, &tests, &loaded, &mut report)?;
    }
    report.finish()
}

/// Every device at every level asked for.
fn devices(global: &Global) -> Vec<On<'_>> {
    let levels: Vec<Option<&str>> = match &global.level {
        Some(levels) => levels.split(',').map(Some).collect(),
        None => vec![None],
    };
    let names = global.device.split(',');
    names.flat_map(|device| levels.iter().map(move |&level| On { device, level })).collect()
}

/// Every test with every type of cache.
fn on_device(
    global: &Global,
    args: &BenchArgs,
    tests: &[Test],
    loaded: &Loaded,
    report: &mut Report,
) -> Result<(), Failure> {
    let file = if args.synthetic.is_some() { None } else { global.model.as_deref() };
    let about = About::new(loaded, file, global.exact);
    let n_ctx = tests.iter().map(|test| test.context()).max().unwrap_or(0);
    let mut bandwidth = None;
    for kv in kv_types(global) {
        let options = SessionOptions { n_ctx, n_batch: args.batch_size, kv: Some(kv) };
        let mut session = loaded.model.session(&options)?;
        verbose(global, &session, kv);
        for &test in tests {
            let speeds = test.measure(&mut session, args.repetitions)?;
            let mut row = Row { test, kv, speeds, read_bytes: None, bandwidth: None };
            if let Work::Generation(n) | Work::Steps(n) = test.work {
                if bandwidth.is_none() {
                    bandwidth = Some(loaded.runtime.copy_bandwidth()?);
                }
                (row.read_bytes, row.bandwidth) = (Some(session.read_bytes(test.depth + n / 2)), bandwidth);
            }
            report.row(&about, &row)?;
        }
    }
    Ok(())
}

/// The cache types asked for, or the one that a session takes by itself.
fn kv_types(global: &Global) -> Vec<KvType> {
    match &global.kv[..] {
        [] if global.exact => vec![KvType::F32],
        [] => vec![KvType::F16],
        types => types.iter().map(|&kv| kv.into()).collect(),
    }
}

/// What -v adds.
fn verbose(global: &Global, session: &Session, kv: KvType) {
    if global.verbose > 0 {
        let model = session.model();
        output::note(&format!(
            "{}: {} of weights, {} of session with a {} cache; a token reads {} at the start, {} at the end",
            model.device().name,
            output::bytes(model.weight_bytes()),
            output::bytes(session.bytes()),
            kv.name(),
            output::bytes(session.read_bytes(0)),
            output::bytes(session.read_bytes(session.n_ctx() - 1)),
        ));
        if session.launches() > 0 {
            let (all, layers) = (session.launches(), model.spec().layers.len().max(1));
            output::note(&format!("{all} kernel launches a token, {} a layer", all / layers));
        }
    }
}

/// Ids spread over the vocabulary, the same every time.
fn tokens(n_vocab: usize, n: usize) -> Vec<u32> {
    (1..=n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as u32 % n_vocab as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_in_the_vocabulary_and_differ() {
        let ids = tokens(320, 64);
        assert!(ids.iter().all(|&id| id < 320));
        assert!(ids.windows(2).filter(|pair| pair[0] == pair[1]).count() < 4);
    }
}

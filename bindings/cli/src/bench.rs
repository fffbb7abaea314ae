//! `bench`: llama-bench's tests and table. Sampling and tokenization are not measured; each test runs once before it is.

use std::path::Path;
use std::time::Instant;

use gabion::{KvType, Model, Session, SessionOptions};
use serde_json::{Value, json};

use crate::args::{BenchArgs, BenchOutput, Global};
use crate::failure::Failure;
use crate::generate::interruptible;
use crate::load::{load, model_name};
use crate::output;

/// What is measured.
#[derive(Clone, Copy)]
enum Test {
    /// A prompt of so many tokens at once.
    Prompt(usize),
    /// So many tokens one after another, from an empty context.
    Generation(usize),
}

impl Test {
    fn len(self) -> usize {
        match self {
            Test::Prompt(n) | Test::Generation(n) => n,
        }
    }

    fn name(self) -> String {
        match self {
            Test::Prompt(n) => format!("pp{n}"),
            Test::Generation(n) => format!("tg{n}"),
        }
    }

    /// Runs once; seconds.
    fn run(self, session: &mut Session, tokens: &[u32]) -> Result<f64, Failure> {
        session.clear();
        let start = Instant::now();
        match self {
            Test::Prompt(_) => interruptible(session, |session| session.sync(tokens).map(drop))?,
            Test::Generation(_) => {
                for &token in tokens {
                    interruptible(session, |session| session.step(token))?;
                }
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }
}

pub(crate) fn bench(global: &Global, args: &BenchArgs) -> Result<(), Failure> {
    let prompts = args.n_prompt.iter().map(|&n| Test::Prompt(n));
    let generations = args.n_gen.iter().map(|&n| Test::Generation(n));
    let tests: Vec<Test> = prompts.chain(generations).filter(|test| test.len() > 0).collect();
    let Some(longest) = tests.iter().map(|test| test.len()).max() else {
        return Err(Failure::Usage("nothing to measure: give -p N or -n N above 0".into()));
    };
    let path = global.model()?;
    let model = load(global)?.model;
    let options = SessionOptions { n_ctx: longest, n_batch: args.batch_size, kv: global.kv.map(KvType::from) };
    let mut session = model.session(&options)?;
    let about = About::new(&model, path, global.exact);
    if args.output == BenchOutput::Md {
        output::text(&about.head())?;
    }
    let mut rows = Vec::new();
    for test in tests {
        let speeds = measure(&mut session, test, args.repetitions)?;
        match args.output {
            BenchOutput::Md => output::line(&about.row(test, &speeds))?,
            BenchOutput::Json => rows.push(about.json(test, &speeds)),
        }
    }
    if args.output == BenchOutput::Json { output::json(&Value::Array(rows)) } else { Ok(()) }
}

/// Tokens per second of each repetition.
fn measure(session: &mut Session, test: Test, repetitions: u32) -> Result<Vec<f64>, Failure> {
    let tokens = tokens(session.model().n_vocab(), test.len());
    test.run(session, &tokens)?;
    let once = |_| Ok(test.len() as f64 / test.run(session, &tokens)?);
    (0..repetitions).map(once).collect()
}

/// Ids spread over the vocabulary, the same every time.
fn tokens(n_vocab: usize, n: usize) -> Vec<u32> {
    (1..=n as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as u32 % n_vocab as u32).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample standard deviation; 0 for a single value.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (squares / (values.len() - 1).max(1) as f64).sqrt()
}

/// What stays the same in every row.
struct About {
    model: String,
    file: String,
    bytes: u64,
    params: u64,
    backend: String,
    device: String,
    threads: usize,
    exact: bool,
}

impl About {
    fn new(model: &Model, path: &Path, exact: bool) -> Self {
        let (tensors, device) = (&model.header().tensors, model.device());
        Self {
            model: model_name(model, path),
            file: path.display().to_string(),
            bytes: tensors.iter().map(|t| t.bytes).sum(),
            params: tensors.iter().map(|t| t.elements()).sum(),
            backend: device.backend.clone(),
            device: device.name.clone(),
            threads: device.threads,
            exact,
        }
    }

    fn head(&self) -> String {
        let titles = "| model | size | params | backend | device | threads | test | t/s |";
        format!("{titles}\n| --- | ---: | ---: | --- | --- | ---: | ---: | ---: |\n")
    }

    fn row(&self, test: Test, speeds: &[f64]) -> String {
        let cells = [
            self.model.clone(),
            output::bytes(self.bytes),
            output::count(self.params),
            self.backend.clone(),
            self.device.clone(),
            self.threads.to_string(),
            test.name(),
            format!("{:.2} ± {:.2}", mean(speeds), deviation(speeds)),
        ];
        format!("| {} |", cells.map(|cell| output::harmless(&cell).replace(['|', '\n'], "/")).join(" | "))
    }

    fn json(&self, test: Test, speeds: &[f64]) -> Value {
        let (prompt, generated) = match test {
            Test::Prompt(n) => (n, 0),
            Test::Generation(n) => (0, n),
        };
        let samples: Vec<Value> = speeds.iter().map(|&v| output::rounded(v, 3)).collect();
        json!({
            "test": test.name(),
            "avg_ts": output::rounded(mean(speeds), 3),
            "stddev_ts": output::rounded(deviation(speeds), 3),
            "model": self.model,
            "model_filename": self.file,
            "device": self.device,
            "threads": self.threads,
            "backend": self.backend,
            "exact": self.exact,
            "model_size": self.bytes,
            "model_n_params": self.params,
            "n_prompt": prompt,
            "n_gen": generated,
            "samples_ts": samples,
            "gabion": gabion::VERSION,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        assert_eq!((mean(&[1.0, 2.0, 3.0]), deviation(&[1.0, 2.0, 3.0]), deviation(&[5.0])), (2.0, 1.0, 0.0));
    }

    #[test]
    fn tokens_are_in_the_vocabulary_and_differ() {
        let ids = tokens(320, 64);
        assert!(ids.iter().all(|&id| id < 320));
        assert!(ids.windows(2).filter(|pair| pair[0] == pair[1]).count() < 4);
    }
}

//! What `bench` prints: llama-bench's table with a line on each generation's distance from the memory's limit, or rows for
//! programs.

use std::path::Path;

use gabion::KvType;
use serde_json::{Value, json};

use super::{Test, Work};
use crate::args::BenchOutput;
use crate::failure::Failure;
use crate::load::{Loaded, model_name};
use crate::output;

/// What was measured.
pub(super) struct Row {
    pub(super) test: Test,
    pub(super) kv: KvType,
    /// Tokens per second of each repetition.
    pub(super) speeds: Vec<f64>,
    /// Bytes that a generated token reads, halfway.
    pub(super) read_bytes: Option<u64>,
    /// Bytes a second that the device copies.
    pub(super) bandwidth: Option<f64>,
}

impl Row {
    /// Which part of the most tokens a second it reaches that the memory allows.
    fn of_limit(&self) -> Option<f64> {
        Some(mean(&self.speeds) * self.read_bytes? as f64 / self.bandwidth?)
    }
}

/// Rows as they come, in one of the forms.
pub(super) struct Report {
    form: BenchOutput,
    rows: Vec<Value>,
    /// Lines that follow the table.
    limits: Vec<String>,
}

const HEAD: &str = "\
| model | size | params | backend | device | threads | kv | test | t/s |
| --- | ---: | ---: | --- | --- | ---: | --- | ---: | ---: |
";

impl Report {
    pub(super) fn new(form: BenchOutput) -> Self {
        Self { form, rows: Vec::new(), limits: Vec::new() }
    }

    pub(super) fn row(&mut self, about: &About, row: &Row) -> Result<(), Failure> {
        let (object, first) = (about.json(row), self.rows.is_empty());
        match self.form {
            BenchOutput::Md => {
                output::text(if first { HEAD } else { "" })?;
                output::line(&about.cells(row))?;
                self.limits.extend(about.limit(row));
            }
            BenchOutput::Csv => {
                let (keys, cells) = csv(&object);
                output::text(&if first { format!("{keys}\n") } else { String::new() })?;
                output::line(&cells)?;
            }
            BenchOutput::Json => {}
        }
        self.rows.push(object);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        match self.form {
            BenchOutput::Json => output::json(&Value::Array(self.rows)),
            BenchOutput::Md if !self.limits.is_empty() => output::line(&format!("\n{}", self.limits.join("\n"))),
            _ => Ok(()),
        }
    }
}

/// The names and the values of an object's fields, lists left out.
fn csv(object: &Value) -> (String, String) {
    let fields = object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_array());
    let (keys, cells): (Vec<&str>, Vec<String>) = fields.map(|(key, value)| (key.as_str(), cell(value))).unzip();
    (keys.join(","), cells.join(","))
}

/// A value as a CSV field: text in quotes.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// What stays the same in every row of a model on a device.
pub(super) struct About {
    model: String,
    file: String,
    bytes: u64,
    params: u64,
    backend: String,
    device: String,
    threads: usize,
    /// The level that a GPU takes.
    level: Option<String>,
    exact: bool,
}

impl About {
    /// `file`: none for a synthetic model.
    pub(super) fn new(Loaded { model, runtime, .. }: &Loaded, file: Option<&Path>, exact: bool) -> Self {
        let (tensors, device) = (&model.header().tensors, model.device());
        let path = file.unwrap_or(Path::new(""));
        Self {
            model: model_name(model, path),
            file: path.display().to_string(),
            bytes: tensors.iter().map(|t| t.bytes).sum(),
            params: tensors.iter().map(|t| t.elements()).sum(),
            backend: device.backend.clone(),
            device: device.name.clone(),
            threads: device.threads,
            level: runtime.levels(exact).map(output::levels),
            exact,
        }
    }

    fn shown_device(&self) -> String {
        let level = self.level.iter().map(|level| format!(", {level}"));
        level.fold(self.device.clone(), |device, level| device + &level)
    }

    /// A row of the table.
    fn cells(&self, row: &Row) -> String {
        let cells = [
            self.model.clone(),
            output::bytes(self.bytes),
            output::count(self.params),
            self.backend.clone(),
            self.shown_device(),
            self.threads.to_string(),
            row.kv.name().into(),
            row.test.name(),
            format!("{:.2} ± {:.2}", mean(&row.speeds), deviation(&row.speeds)),
        ];
        format!("| {} |", cells.map(|cell| output::harmless(&cell).replace(['|', '\n'], "/")).join(" | "))
    }

    /// How far a generation is from what the memory allows.
    fn limit(&self, row: &Row) -> Option<String> {
        let (bytes, bandwidth) = (row.read_bytes?, row.bandwidth?);
        Some(format!(
            "{} on {}, {} cache: {} a token, {:.1} % of the limit ({:.1} GB/s of copying)",
            row.test.name(),
            output::harmless(&self.shown_device()),
            row.kv.name(),
            output::bytes(bytes),
            100.0 * row.of_limit()?,
            bandwidth / 1e9,
        ))
    }

    fn json(&self, row: &Row) -> Value {
        let (prompt, generated) = match row.test.work {
            Work::Prompt(n) => (n, 0),
            Work::Generation(n) | Work::Steps(n) => (0, n),
        };
        let samples: Vec<Value> = row.speeds.iter().map(|&v| output::rounded(v, 3)).collect();
        json!({
            "test": row.test.name(),
            "avg_ts": output::rounded(mean(&row.speeds), 3),
            "stddev_ts": output::rounded(deviation(&row.speeds), 3),
            "model": self.model,
            "model_filename": self.file,
            "device": self.device,
            "threads": self.threads,
            "backend": self.backend,
            "level": self.level,
            "exact": self.exact,
            "kv": row.kv.name(),
            "model_size": self.bytes,
            "model_n_params": self.params,
            "n_prompt": prompt,
            "n_gen": generated,
            "n_depth": row.test.depth,
            "read_bytes": row.read_bytes,
            "copy_bandwidth": row.bandwidth.map(|v| output::rounded(v, 0)),
            "of_limit": row.of_limit().map(|v| output::rounded(v, 4)),
            "samples_ts": samples,
            "gabion": gabion::VERSION,
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        assert_eq!((mean(&[1.0, 2.0, 3.0]), deviation(&[1.0, 2.0, 3.0]), deviation(&[5.0])), (2.0, 1.0, 0.0));
    }

    #[test]
    fn the_limit_is_bandwidth_over_bytes() {
        let test = Test { work: Work::Generation(4), depth: 0 };
        let row = Row {
            test,
            kv: KvType::F16,
            speeds: vec![50.0],
            read_bytes: Some(1 << 20),
            bandwidth: Some(104_857_600.0),
        };
        assert_eq!(row.of_limit(), Some(0.5));
    }

    #[test]
    fn csv_quotes_text() {
        assert_eq!(
            (cell(&json!("a \"b\", c")), cell(&json!(1.5)), cell(&Value::Null)),
            ("\"a \"\"b\"\", c\"".into(), "1.5".into(), String::new())
        );
    }
}

//! `info`: what a model file holds, from its header alone; also for files that this version cannot run.

use std::collections::BTreeMap;

use gabion::gguf::{Array, Header, TensorInfo, Value};
use gabion::{Fit, FitOptions, ModelInfo};
use serde_json::{Map, Value as Json, json};

use crate::args::{Global, InfoArgs};
use crate::failure::Failure;
use crate::fit;
use crate::load::{self, On};
use crate::output::{self, bytes, count};

/// Elements of an array that are shown without -v.
const SHOWN: usize = 8;

pub(crate) fn info(global: &Global, args: &InfoArgs) -> Result<(), Failure> {
    let header = load::header(global, args.path.as_ref())?;
    let runtime = load::runtime(global, On { device: "cpu", level: None })?;
    let fit = runtime.fit(&header, &FitOptions::default());
    let about = About { verbose: global.verbose > 0, info: ModelInfo::new(&header), fit, header };
    if args.json { output::json(&about.json()) } else { output::text(&about.text()) }
}

struct About {
    header: Header,
    info: ModelInfo,
    /// What it takes on the CPU.
    fit: gabion::Result<Fit>,
    verbose: bool,
}

/// Tensors of one type.
#[derive(Default)]
struct Group {
    tensors: usize,
    elements: u64,
    bytes: u64,
}

impl About {
    fn groups(&self) -> BTreeMap<String, Group> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for tensor in &self.header.tensors {
            let group = groups.entry(type_name(tensor)).or_default();
            group.tensors += 1;
            group.elements = group.elements.saturating_add(tensor.elements());
            group.bytes = group.bytes.saturating_add(tensor.bytes);
        }
        groups
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("GGUF version {}, alignment {}", self.header.version, self.header.alignment)];
        lines.extend(self.header.entries().map(|(key, value)| format!("{key} = {}", shown(value, self.verbose))));
        lines.push(String::new());
        if self.verbose {
            lines.extend(self.header.tensors.iter().map(tensor_line));
            lines.push(String::new());
        }
        let groups = self.groups();
        lines.extend(groups.iter().map(|(name, g)| {
            format!("{name:>8}  {:>5} tensors  {:>10} parameters  {:>11}", g.tensors, count(g.elements), bytes(g.bytes))
        }));
        let total = groups.values().fold((0u64, 0u64), |t, g| (t.0 + g.elements, t.1 + g.bytes));
        lines.push(format!(
            "   total  {:>5} tensors  {:>10} parameters  {:>11}",
            self.header.tensors.len(),
            count(total.0),
            bytes(total.1)
        ));
        lines.push(String::new());
        lines.push(fit::title(&self.info));
        lines.push(match &self.fit {
            Ok(fit) => format!(
                "runs here: {} of weights, and {} of {} KV cache for {} tokens (see `gabion fit`)",
                bytes(fit.weight_bytes),
                bytes(fit.kv_bytes),
                fit.kv.name(),
                fit.n_ctx
            ),
            Err(error) => format!("does not run here: {error}"),
        });
        output::harmless(&(lines.join("\n") + "\n"))
    }

    fn json(&self) -> Json {
        let types = self
            .groups()
            .into_iter()
            .map(|(name, g)| (name, json!({ "tensors": g.tensors, "parameters": g.elements, "bytes": g.bytes })));
        let keys = self.header.entries().map(|(key, value)| (key.to_owned(), self.value(value)));
        let mut object = json!({
            "version": self.header.version,
            "alignment": self.header.alignment,
            "keys": keys.collect::<Map<_, _>>(),
            "types": types.collect::<Map<_, _>>(),
            "n_tensors": self.header.tensors.len(),
            "parameters": self.header.tensors.iter().map(TensorInfo::elements).sum::<u64>(),
            "tensor_bytes": self.header.tensors.iter().map(|t| t.bytes).sum::<u64>(),
            "model": fit::model_json(&self.info),
            "supported": self.fit.is_ok(),
        });
        match &self.fit {
            Ok(fit) => object["kv"] = json!({ "n_ctx": fit.n_ctx, "type": fit.kv.name(), "bytes": fit.kv_bytes }),
            Err(error) => object["why"] = error.to_string().into(),
        }
        if self.verbose {
            object["tensors"] = self.header.tensors.iter().map(tensor_json).collect();
        }
        object
    }

    /// A key's value. Long arrays are cut to `{"len","first"}` unless -v asks for all.
    fn value(&self, value: Value<'_>) -> Json {
        match value {
            Value::Array(array) if !self.verbose && array.len() > 8 * SHOWN => {
                let first: Vec<Json> = array.iter().take(SHOWN).map(scalar).collect();
                json!({ "len": array.len(), "first": first })
            }
            Value::Array(array) => array.iter().map(scalar).collect(),
            value => scalar(value),
        }
    }
}

fn type_name(tensor: &TensorInfo) -> String {
    tensor.ty().map_or_else(|| format!("type {}", tensor.type_id), |ty| ty.name().to_owned())
}

fn dims(tensor: &TensorInfo) -> &[u64] {
    &tensor.dims[..tensor.n_dims as usize]
}

fn tensor_line(tensor: &TensorInfo) -> String {
    let shape: Vec<String> = dims(tensor).iter().map(u64::to_string).collect();
    format!("{:<40} {:>8} {:>11}  [{}]", tensor.name, type_name(tensor), bytes(tensor.bytes), shape.join(", "))
}

fn tensor_json(tensor: &TensorInfo) -> Json {
    json!({
        "name": tensor.name, "type": type_name(tensor), "dims": dims(tensor),
        "offset": tensor.offset, "bytes": tensor.bytes, "file": tensor.shard,
    })
}

/// A value on one line: long strings and arrays are cut unless all is asked for.
fn shown(value: Value<'_>, all: bool) -> String {
    match value {
        Value::Array(array) => shown_array(array, all),
        Value::String(bytes) => {
            let text = String::from_utf8_lossy(bytes).replace('\n', "\\n");
            let cut = text.char_indices().nth(120).filter(|_| !all);
            cut.map_or_else(|| text.clone(), |(end, _)| format!("{}... ({} bytes)", &text[..end], bytes.len()))
        }
        value => scalar(value).to_string(),
    }
}

fn shown_array(array: Array<'_>, all: bool) -> String {
    let most = if all { usize::MAX } else { SHOWN };
    let shown: Vec<String> = array.iter().take(most).map(|v| scalar(v).to_string()).collect();
    let rest = if array.len() > most { format!(", ... {} in all", array.len()) } else { String::new() };
    format!("[{}{rest}]", shown.join(", "))
}

fn scalar(value: Value<'_>) -> Json {
    match value {
        Value::U64(v) => v.into(),
        Value::Bool(v) => v.into(),
        Value::F32(v) => output::number(v),
        Value::F64(v) => Some(v).filter(|v| v.is_finite()).map_or(Json::Null, Json::from),
        Value::String(bytes) => String::from_utf8_lossy(bytes).into(),
        value => value.as_i64().map_or(Json::Null, Json::from),
    }
}

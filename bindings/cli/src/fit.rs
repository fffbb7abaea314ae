//! `fit`: whether a model and a session fit a device, and with how long a context, before anything is loaded.

use gabion::gguf::Header;
use gabion::{Fit, FitOptions, ModelInfo, Runtime};
use serde_json::{Value as Json, json};

use crate::args::{FitArgs, Global};
use crate::failure::Failure;
use crate::load::{self, On};
use crate::output::{self, bytes, count};

pub(crate) fn fit(global: &Global, args: &FitArgs) -> Result<(), Failure> {
    let header = load::header(global, args.path.as_ref())?;
    let runtime = load::runtime(global, On { device: &global.device, level: global.level.as_deref() })?;
    let fit = measure(global, args, &runtime, &header)?;
    if args.json {
        output::json(&json(&fit, &runtime))?;
    } else {
        output::text(&output::harmless(&text(&fit, &runtime)))?;
    }
    if fit.fits() { Ok(()) } else { Err(Failure::Told) }
}

fn measure(global: &Global, args: &FitArgs, runtime: &Runtime, header: &Header) -> gabion::Result<Fit> {
    let model = global.model_options();
    runtime.fit(header, &FitOptions { model, session: args.context.options(global), memory: args.memory })
}

/// What a model is, on one line.
pub(crate) fn title(info: &ModelInfo) -> String {
    let name = if info.name.is_empty() { "unnamed model" } else { &info.name };
    let (parameters, bits) = (count(info.n_parameters), info.bits_per_weight);
    let n_ctx = info.n_ctx_train;
    format!("{name}: {}, {parameters} parameters of {bits:.2} bits, trained for {n_ctx} tokens", info.architecture)
}

fn text(fit: &Fit, runtime: &Runtime) -> String {
    let unknown = || "how much memory there is is not known (--memory sets it)".to_owned();
    let free = fit.limits.memory.map_or_else(unknown, |memory| format!("{} may be used", bytes(memory)));
    let buffer = fit.limits.buffer.map_or(String::new(), |most| format!("a buffer may have {}", bytes(most)));
    let limits = [free, buffer].into_iter().filter(|limit| !limit.is_empty()).collect::<Vec<_>>().join(", ");
    let rows = [
        ("weights", fit.weight_bytes, String::new()),
        ("cache", fit.kv_bytes, format!("{} tokens in {}", fit.n_ctx, fit.kv.name())),
        ("scratch", fit.scratch_bytes, format!("{} tokens at once", fit.n_batch)),
        ("total", fit.total_bytes(), limits),
    ];
    let row = |(what, size, note): &(&str, u64, String)| format!("{what:<8} {:>11}  {note}", bytes(*size));
    let mut lines = vec![title(&fit.info), format!("on {}", runtime.info().name)];
    lines.extend(rows.iter().map(row).map(|line| line.trim_end().to_owned()));
    let longest = match fit.max_n_ctx {
        0 => "no context fits".into(),
        n => format!("at most n_ctx = {n} fits"),
    };
    lines.push(match &fit.problem {
        None => format!("fits; {longest}"),
        Some(problem) => format!("does not fit, because {problem}; {longest}"),
    });
    lines.join("\n") + "\n"
}

fn json(fit: &Fit, runtime: &Runtime) -> Json {
    json!({
        "model": model_json(&fit.info), "device": runtime.info().name,
        "n_ctx": fit.n_ctx, "n_batch": fit.n_batch, "kv": fit.kv.name(),
        "weight_bytes": fit.weight_bytes, "kv_bytes": fit.kv_bytes, "scratch_bytes": fit.scratch_bytes,
        "total_bytes": fit.total_bytes(), "memory": fit.limits.memory, "max_buffer": fit.limits.buffer,
        "max_n_ctx": fit.max_n_ctx, "fits": fit.fits(), "why": fit.problem,
    })
}

pub(crate) fn model_json(info: &ModelInfo) -> Json {
    json!({
        "architecture": info.architecture, "name": info.name, "parameters": info.n_parameters,
        "tensor_bytes": info.tensor_bytes, "bits_per_weight": output::rounded(info.bits_per_weight, 3),
        "n_ctx_train": info.n_ctx_train, "n_vocab": info.n_vocab, "n_embd": info.n_embd, "n_layer": info.n_layer,
        "tokenizer": info.tokenizer, "has_chat_template": info.has_chat_template,
    })
}

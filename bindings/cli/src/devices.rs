//! `devices`: what `--device` can name.

use gabion::{DeviceInfo, DeviceKind, Runtime, RuntimeOptions};
use serde_json::{Value, json};

use crate::args::DevicesArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn devices(args: &DevicesArgs) -> Result<(), Failure> {
    let all = Runtime::devices();
    let auto = all.iter().position(|d| d.kind == DeviceKind::Gpu).unwrap_or(0);
    if args.json {
        let rows = all.iter().enumerate().map(|(i, device)| object(device, level(device).ok().flatten(), i == auto));
        return output::json(&Value::Array(rows.collect()));
    }
    for (i, device) in all.iter().enumerate() {
        let mark = if i == auto { "*" } else { " " };
        let driver = if device.driver.is_empty() { String::new() } else { format!(", {}", device.driver) };
        let level = match level(device) {
            Ok(level) => level.map_or(String::new(), |level| format!(", level {level}")),
            Err(error) => format!(": {error}"),
        };
        output::line(&output::harmless(&format!("{mark} {} ({}{driver}){level}", device.name, about(device))))?;
    }
    output::line("* is what `--device auto` takes; --device also takes any part of a GPU's name")
}

/// The level that a GPU takes, for which it is opened.
fn level(device: &DeviceInfo) -> gabion::Result<Option<String>> {
    if device.kind == DeviceKind::Cpu {
        return Ok(None);
    }
    // all that a filter is compared with, so that no other adapter is taken
    let name = format!("{} {} {}", device.name, device.driver, device.backend);
    let runtime = Runtime::new(&RuntimeOptions { device: name, ..RuntimeOptions::default() })?;
    Ok(runtime.levels(false).map(output::levels))
}

fn about(device: &DeviceInfo) -> String {
    match device.kind {
        DeviceKind::Cpu => "--device cpu".into(),
        DeviceKind::Gpu => format!("GPU, {}", device.backend),
        DeviceKind::Software => format!("software GPU, {}", device.backend),
    }
}

fn object(device: &DeviceInfo, level: Option<String>, auto: bool) -> Value {
    let kind = match device.kind {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Gpu => "gpu",
        DeviceKind::Software => "software",
    };
    json!({
        "name": device.name, "kind": kind, "backend": device.backend, "driver": device.driver,
        "threads": device.threads, "level": level, "auto": auto,
    })
}

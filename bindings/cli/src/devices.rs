//! `devices`: what `--device` can name.

use gabion::{DeviceInfo, DeviceKind, Runtime};
use serde_json::{Value, json};

use crate::args::DevicesArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn devices(args: &DevicesArgs) -> Result<(), Failure> {
    let all = Runtime::devices();
    let auto = all.iter().position(|d| d.kind == DeviceKind::Gpu).unwrap_or(0);
    if args.json {
        let rows = all.iter().enumerate().map(|(i, device)| object(device, i == auto));
        return output::json(&Value::Array(rows.collect()));
    }
    for (i, device) in all.iter().enumerate() {
        let mark = if i == auto { "*" } else { " " };
        let driver = if device.driver.is_empty() { String::new() } else { format!(", {}", device.driver) };
        output::line(&output::harmless(&format!("{mark} {} ({}{driver})", device.name, about(device))))?;
    }
    output::line("* is what `--device auto` takes; --device also takes any part of a GPU's name")
}

fn about(device: &DeviceInfo) -> String {
    match device.kind {
        DeviceKind::Cpu => "--device cpu".into(),
        DeviceKind::Gpu => format!("GPU, {}", device.backend),
        DeviceKind::Software => format!("software GPU, {}", device.backend),
    }
}

fn object(device: &DeviceInfo, auto: bool) -> Value {
    let kind = match device.kind {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Gpu => "gpu",
        DeviceKind::Software => "software",
    };
    json!({
        "name": device.name, "kind": kind, "backend": device.backend, "driver": device.driver,
        "threads": device.threads, "auto": auto,
    })
}

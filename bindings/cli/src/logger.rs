//! The core's log messages on stderr: warnings always, more with -v.

use log::{LevelFilter, Log, Metadata, Record};

use crate::output;

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // wgpu talks of its insides at every level; its errors reach the user through the core
        let ours = record.target().starts_with("gabion");
        if ours || log::max_level() == LevelFilter::Trace {
            output::note(&format!("{}: {}", record.level().as_str().to_lowercase(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Sets the logger up for `verbose` times -v.
pub(crate) fn install(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    log::set_max_level(level);
    log::set_logger(&Stderr).expect("main sets the logger once");
}

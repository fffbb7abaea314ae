//! From flags to the core's nouns: a device, a loaded model, an input text.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gabion::gguf::{Header, Source};
use gabion::{Error, Model, ModelOptions, Progress, ProgressFn, Runtime, RuntimeOptions};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Global, Input, Parsing};
use crate::failure::Failure;
use crate::{interrupt, remote};

/// A loaded model with its device, and how long that took.
pub(crate) struct Loaded {
    pub(crate) runtime: Runtime,
    pub(crate) model: Model,
    pub(crate) time: Duration,
}

/// What a model is loaded on.
#[derive(Clone, Copy)]
pub(crate) struct On<'a> {
    /// As `--device` names it.
    pub(crate) device: &'a str,
    /// As `--level` names it.
    pub(crate) level: Option<&'a str>,
}

/// Opens the device and loads the model that the flags name.
pub(crate) fn load(global: &Global) -> Result<Loaded, Failure> {
    load_file(global, On { device: &global.device, level: global.level.as_deref() })
}

/// The same on another device.
pub(crate) fn load_file(global: &Global, on: On<'_>) -> Result<Loaded, Failure> {
    let path = global.model()?;
    load_by(global, on, &path.display().to_string(), |runtime, options, tell| Model::open(path, runtime, options, tell))
}

/// Opens a device.
pub(crate) fn runtime(global: &Global, on: On<'_>) -> Result<Runtime, Failure> {
    let options =
        RuntimeOptions { device: on.device.into(), threads: global.threads, level: on.level.map(str::to_owned) };
    Ok(Runtime::new(&options)?)
}

/// The header of a model, which may be an address.
pub(crate) fn header(global: &Global, path: Option<&PathBuf>) -> Result<Header, Failure> {
    let path = path.map_or_else(|| global.model(), Ok)?;
    Ok(match path.to_str().filter(|text| remote::is_address(text)) {
        Some(url) => remote::header(url)?,
        None => Model::read_header(path)?,
    })
}

/// Loads a model that is no file.
pub(crate) fn load_from(global: &Global, on: On<'_>, source: impl Source) -> Result<Loaded, Failure> {
    load_by(global, on, &source.name(), |runtime, options, tell| {
        pollster::block_on(Model::load(vec![source], runtime, options, tell))
    })
}

/// Opens a device and loads a model, with a progress bar on a terminal. From here on Ctrl-C stops work in good order.
fn load_by(
    global: &Global,
    on: On<'_>,
    name: &str,
    open: impl FnOnce(&Runtime, &ModelOptions, ProgressFn<'_>) -> gabion::Result<Model>,
) -> Result<Loaded, Failure> {
    interrupt::install();
    let start = Instant::now();
    let runtime = runtime(global, on)?;
    let bar = progress_bar("loading");
    let mut tell = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.loaded);
        !interrupt::hit()
    };
    let model = open(&runtime, &global.model_options(), &mut tell);
    bar.finish_and_clear();
    let (model, time) = (model?, start.elapsed());
    log::info!("{name} on {}, loaded in {:.2} s", model.device().name, time.as_secs_f64());
    Ok(Loaded { runtime, model, time })
}

/// Drawn on stderr; indicatif hides it where that is not a terminal.
pub(crate) fn progress_bar(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes}").expect("a valid template");
    ProgressBar::new(0).with_style(style).with_message(doing)
}

/// A bar that counts things; drawn as `progress_bar`'s.
pub(crate) fn counter(things: &'static str, n: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}").expect("a valid template");
    ProgressBar::new(n as u64).with_style(style).with_message(things)
}

/// The text that the flags or a pipe give.
pub(crate) fn input_text(input: &Input) -> Result<String, Failure> {
    match (&input.prompt, &input.file) {
        (Some(prompt), _) => Ok(prompt.clone()),
        (None, Some(path)) if path.as_os_str() != "-" => read(std::fs::File::open(path), &path.display().to_string()),
        (None, None) if std::io::stdin().is_terminal() => {
            Err(Failure::Usage("no text: give one with -p TEXT, -f FILE, or through a pipe".into()))
        }
        _ => read(Ok(std::io::stdin().lock()), "stdin"),
    }
}

fn read(file: std::io::Result<impl Read>, what: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let result = file.and_then(|mut file| file.read_to_end(&mut bytes));
    result.map_err(|source| Failure::Core(Error::Io { what: what.into(), source }))?;
    let mut text = String::from_utf8(bytes)
        .map_err(|_| Failure::Other(format!("{what} is not UTF-8 text; convert it, e.g. with iconv -t UTF-8")))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Tokens from ids, which are used as they are, or from a text.
pub(crate) fn input_tokens(
    model: &Model,
    ids: Option<&Vec<u32>>,
    text: &str,
    parsing: &Parsing,
) -> Result<Vec<u32>, Failure> {
    match ids {
        Some(ids) => Ok(ids.clone()),
        None => Ok(model.tokenize(text, !parsing.no_bos, parsing.parse_special)?),
    }
}

/// The model's name: the file's own, or the file name.
pub(crate) fn model_name(model: &Model, path: &Path) -> String {
    let named = model.header().get("general.name").and_then(|name| name.as_str()).map(str::to_owned);
    named.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
}

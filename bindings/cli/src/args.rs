//! The command line's grammar, with llama.cpp's flag names where it has one.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser, PossibleValue, PossibleValuesParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use gabion::quant::Recipe;
use gabion::{Gelu, GenerateOptions, KvType, ModelOptions, SamplerOptions, SessionOptions};

use crate::failure::Failure;

mod texts;

pub(crate) use texts::{ClassifyArgs, EmbedArgs, FillMaskArgs, RerankArgs};

/// Run GGUF language models on the CPU or any GPU.
#[derive(Parser)]
#[command(name = "gabion", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Data goes to stdout; progress and messages go to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
No model yet? `python3 examples/quickstart.py` builds gabion, fetches a small one and runs it.";

/// What every command takes.
#[derive(Args)]
#[command(next_help_heading = "Model and device")]
pub(crate) struct Global {
    /// The GGUF file; of a split model, the first
    #[arg(short, long, global = true, env = "GABION_MODEL", value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// auto (a hardware GPU, else the CPU), cpu, gpu, or part of an adapter's name (see `gabion devices`); `bench` takes
    /// several, comma-separated
    #[arg(long, global = true, env = "GABION_DEVICE", default_value = "auto", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) device: String,
    /// Threads of the CPU device [default: one per core]
    #[arg(short, long, global = true, env = "GABION_THREADS", value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Capability level of a GPU's kernels: base, subgroup, texel, int8, f16 or matrix [default: the best that pays]; `bench`
    /// takes several, comma-separated
    #[arg(long, global = true, env = "GABION_LEVEL", value_name = "LEVEL")]
    pub(crate) level: Option<String>,
    /// Float32 activations and KV cache on any device: slower, for comparing results
    #[arg(long, global = true, env = "GABION_EXACT", value_parser = FalseyValueParser::new())]
    pub(crate) exact: bool,
    /// Which GELU to compute with [default: the one that the model's family defines]
    #[arg(long, global = true, env = "GABION_GELU", value_name = "FORM")]
    pub(crate) gelu: Option<GeluForm>,
    /// Element type of the KV cache [default: f16, or f32 with --exact]; `bench` takes several, comma-separated
    #[arg(long, global = true, env = "GABION_KV", value_name = "TYPE", value_delimiter = ',')]
    pub(crate) kv: Vec<Kv>,
    /// Say more on stderr (twice: even more); `info` lists tensors
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum GeluForm {
    /// The tanh approximation
    Tanh,
    /// The exact function
    Erf,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kv {
    F16,
    F32,
    /// 8 bits
    #[value(name = "q8_0")]
    Q8,
    /// 4 bits
    #[value(name = "q4_0")]
    Q4,
}

impl From<Kv> for KvType {
    fn from(kv: Kv) -> Self {
        match kv {
            Kv::F16 => KvType::F16,
            Kv::F32 => KvType::F32,
            Kv::Q8 => KvType::Q8_0,
            Kv::Q4 => KvType::Q4_0,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Continue a text, or answer it with --chat
    Run(RunArgs),
    /// Talk with a model
    Chat(ChatArgs),
    /// Show what a model file holds, also where this version cannot run it
    Info(InfoArgs),
    /// Say whether a model fits this device, and with how long a context, from its header alone
    Fit(FitArgs),
    /// Show the tokens of a text
    Tokenize(TokenizeArgs),
    /// Show the negative log-likelihood of each token of a text
    Score(ScoreArgs),
    /// Make a vector of each line of a text, with an encoder such as BERT
    Embed(EmbedArgs),
    /// Order documents, one a line, by how well they answer a query, with a reranker
    Rerank(RerankArgs),
    /// Give each line of a text a score for each label of a classifier
    Classify(ClassifyArgs),
    /// Guess a text's masked words, with a masked language model
    FillMask(FillMaskArgs),
    /// Compute the perplexity of a text file, by llama.cpp's method
    Perplexity(PerplexityArgs),
    /// Measure prompt processing and generation, as llama-bench does
    Bench(BenchArgs),
    /// List the devices of this machine
    Devices(DevicesArgs),
    /// Write a model of F32, F16 or BF16 with smaller tensors
    Quantize(QuantizeArgs),
}

/// How large a session is.
#[derive(Args)]
#[command(next_help_heading = "Context")]
pub(crate) struct Context {
    /// Tokens that fit in the context; 0: the smaller of 4096 and what the model was trained for
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) ctx_size: usize,
    /// Most tokens computed at once; 0: what the device prefers
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) batch_size: usize,
}

impl Context {
    pub(crate) fn options(&self, global: &Global) -> SessionOptions {
        SessionOptions { n_ctx: self.ctx_size, n_batch: self.batch_size, kv: global.kv() }
    }
}

/// How tokens are picked and when to stop.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Sampling {
    /// Most tokens to generate; -1: until the model ends or the context is full
    #[arg(short, long, visible_alias = "predict", value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    n_predict: i64,
    /// Temperature; 0 always picks the most likely token
    #[arg(long, visible_alias = "temperature", value_name = "T", default_value_t = 0.8, value_parser = finite)]
    temp: f32,
    /// Keep the K most likely tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,
    /// Keep the fewest tokens whose probabilities reach P; 1 keeps all
    #[arg(long, value_name = "P", default_value_t = 0.95, value_parser = finite)]
    top_p: f32,
    /// Drop tokens less likely than P times the most likely one; 0 keeps all
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = finite)]
    min_p: f32,
    /// Start of the random sequence; -1: a different one each time
    #[arg(short, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    seed: i64,
    /// Stop before this text; may be given several times
    #[arg(long, visible_alias = "reverse-prompt", value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// Go on past end-of-generation tokens
    #[arg(long)]
    ignore_eos: bool,
}

impl Sampling {
    pub(crate) fn options(&self) -> GenerateOptions {
        let seed = u64::try_from(self.seed).unwrap_or_else(|_| random_seed());
        GenerateOptions {
            max_tokens: usize::try_from(self.n_predict).ok(),
            sampler: SamplerOptions {
                temperature: self.temp,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                seed,
            },
            stop: self.stop.clone(),
            ignore_eog: self.ignore_eos,
            logprobs: 0,
        }
    }
}

/// Where a text comes from.
#[derive(Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Text")]
pub(crate) struct Input {
    /// The text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,
    /// Read the text from a file, or from stdin with `-` (also where neither is given and stdin is a pipe). One line
    /// break at its end is dropped
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// How a text becomes tokens.
#[derive(Args)]
#[command(next_help_heading = "Text")]
pub(crate) struct Parsing {
    /// Let text such as <|im_end|> become control tokens; never for text from others
    #[arg(long)]
    pub(crate) parse_special: bool,
    /// Do not add the tokens (BOS) that the model wants around a text
    #[arg(long)]
    pub(crate) no_bos: bool,
}

const RUN_HELP: &str = "\
The text is continued as it is. With --chat, or -sys, it is a message that the model answers, through its own chat template.
--json prints {device, prompt_tokens, tokens: [{id, text, logprob, top: [[id, logprob], ...]}], text, stop, timings}.
The first token comes with the prompt's logits, so n tokens are n - 1 decode_tokens.";

#[derive(Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Token ids instead of a text, used as they are
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["prompt", "file", "chat", "system_prompt"])]
    pub(crate) ids: Option<Vec<u32>>,
    #[command(flatten)]
    pub(crate) parsing: Parsing,
    /// Answer the text as a chat message
    #[arg(long, visible_alias = "conversation")]
    pub(crate) chat: bool,
    /// System message (also -sys); implies --chat
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) system_prompt: Option<String>,
    #[command(flatten)]
    pub(crate) context: Context,
    #[command(flatten)]
    pub(crate) sampling: Sampling,
    /// Print one JSON object at the end instead of streaming text
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Report each token's log-probability and the K most likely ones (with --json; without it they are null and [])
    #[arg(long, value_name = "K", default_value_t = 0, requires = "json", help_heading = "Output")]
    pub(crate) logprobs: usize,
}

#[derive(Args)]
pub(crate) struct ChatArgs {
    /// System message (also -sys)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) system_prompt: Option<String>,
    #[command(flatten)]
    pub(crate) context: Context,
    #[command(flatten)]
    pub(crate) sampling: Sampling,
}

#[derive(Args)]
pub(crate) struct InfoArgs {
    /// The GGUF file or its http(s) address, if not given with -m; of an address only the header is fetched
    #[arg(value_name = "FILE|URL")]
    pub(crate) path: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const FIT_HELP: &str = "\
Exit code 0 if it fits, 1 if it does not or this version cannot run it.
--json prints {model, device, n_ctx, n_batch, kv, weight_bytes, kv_bytes, scratch_bytes, total_bytes, memory, max_buffer,
max_n_ctx, fits, why}; memory and max_buffer are null where there is no such limit or the device does not say.";

#[derive(Args)]
#[command(after_help = FIT_HELP)]
pub(crate) struct FitArgs {
    /// The GGUF file or its http(s) address, if not given with -m; of an address only the header is fetched
    #[arg(value_name = "FILE|URL")]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) context: Context,
    /// Memory that it may take, e.g. 6GiB or 800MiB [default: on Linux what is free, of a GPU under Vulkan all it has]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// Print one JSON object
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) parsing: Parsing,
    #[arg(long, help_heading = "Output", help = r#"Print {"tokens":[ids]}"#)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Token ids instead of a text, used as they are
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["prompt", "file"])]
    pub(crate) ids: Option<Vec<u32>>,
    #[command(flatten)]
    pub(crate) parsing: Parsing,
    #[command(flatten)]
    pub(crate) context: Context,
    #[arg(long, help_heading = "Output", help = r#"Print {"tokens":[ids],"nll":[one fewer]}"#)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PerplexityArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Tokens of one window
    #[arg(short, long, value_name = "N", default_value_t = 512, value_parser = window)]
    pub(crate) ctx_size: usize,
    /// Most tokens computed at once; 0: what the device prefers
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) batch_size: usize,
    /// Windows to compute; -1: all
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) chunks: i64,
    /// Print one JSON object instead
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Prompt lengths, comma-separated; 0 for none
    #[arg(short = 'p', long, value_name = "N", value_delimiter = ',', default_value = "512", value_parser = bench_size)]
    pub(crate) n_prompt: Vec<usize>,
    /// Numbers of tokens to generate, comma-separated; 0 for none
    #[arg(short = 'n', long, value_name = "N", value_delimiter = ',', default_value = "128", value_parser = bench_size)]
    pub(crate) n_gen: Vec<usize>,
    /// Tokens that are in the context before each test, comma-separated
    #[arg(short = 'd', long, value_name = "N", value_delimiter = ',', default_value = "0", value_parser = bench_size)]
    pub(crate) n_depth: Vec<usize>,
    /// Measure a model with random weights instead of a file's: smollm2-135m, llama-1b, llama-3b, llama-8b or gemma3-1b,
    /// and a tensor type
    #[arg(long, value_name = "SHAPE:TYPE")]
    pub(crate) synthetic: Option<String>,
    /// Generate as llama-bench does: given tokens one at a time, all logits read after each
    #[arg(long)]
    pub(crate) steps: bool,
    /// Times each test is measured, after one run that is not
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repetitions: u32,
    /// Most tokens computed at once; 0: what the device prefers
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) batch_size: usize,
    /// Form of the result
    #[arg(short, long, value_name = "FORM", default_value = "md")]
    pub(crate) output: BenchOutput,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum BenchOutput {
    Md,
    Json,
    Csv,
}

#[derive(Args)]
pub(crate) struct DevicesArgs {
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

impl Cli {
    /// Lists that only one command takes.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.global.kv.len() > 1 && !matches!(self.command, Command::Bench(_)) {
            return Err(Failure::Usage("only `bench` takes several types of KV cache".into()));
        }
        Ok(())
    }
}

impl Global {
    /// The type of KV cache that was asked for.
    pub(crate) fn kv(&self) -> Option<KvType> {
        self.kv.first().map(|&kv| kv.into())
    }

    /// How models are loaded.
    pub(crate) fn model_options(&self) -> ModelOptions {
        let gelu = self.gelu.map(|form| match form {
            GeluForm::Tanh => Gelu::Tanh,
            GeluForm::Erf => Gelu::Erf,
        });
        ModelOptions { exact: self.exact, gelu }
    }

    /// The model's path, or what to do about its absence.
    pub(crate) fn model(&self) -> Result<&PathBuf, Failure> {
        let advice = "which model? Give one with -m FILE or GABION_MODEL";
        self.model.as_ref().ok_or_else(|| Failure::Usage(advice.into()))
    }
}

/// Parses the process's arguments; prints help or a usage error and exits where they ask for it.
pub(crate) fn parse() -> Cli {
    Cli::parse_from(std::env::args_os().map(long_name))
}

/// llama.cpp's `-sys` would read as `-s ys`.
fn long_name(arg: OsString) -> OsString {
    if arg == "-sys" { "--system-prompt".into() } else { arg }
}

fn finite(text: &str) -> Result<f32, String> {
    let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
    value.ok_or_else(|| "not a finite number".into())
}

fn within(text: &str, low: usize, high: usize) -> Result<usize, String> {
    let value = text.parse::<usize>().ok().filter(|value| (low..=high).contains(value));
    value.ok_or_else(|| format!("not a whole number in {low}..={high}"))
}

/// Bytes, with a binary unit or without.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err("not a size such as 6GiB, 800MiB or 1048576".into()),
    };
    let bytes = text[..digits].parse::<f64>().map_err(|_| "not a size such as 6GiB")? * unit as f64;
    if bytes < (1u64 << 60) as f64 { Ok(bytes as u64) } else { Err("too large".into()) }
}

fn threads(text: &str) -> Result<usize, String> {
    within(text, 1, 1024)
}

fn window(text: &str) -> Result<usize, String> {
    within(text, 4, 1 << 20)
}

fn bench_size(text: &str) -> Result<usize, String> {
    within(text, 0, 1 << 20)
}

fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_in_binary_units() {
        assert_eq!((size("1048576"), size("1.5GiB"), size("3 m")), (Ok(1 << 20), Ok(3 << 29), Ok(3 << 20)));
        for bad in ["", "x", "1GB", "-1", "1e9", "1.2.3", "9999999999TiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sys_is_a_flag_of_its_own() {
        let args = ["gabion", "run", "-sys", "Be brief.", "-p", "-x"].map(|arg| long_name(arg.into()));
        let Command::Run(run) = Cli::parse_from(args).command else { panic!("not run") };
        assert_eq!(run.system_prompt.as_deref(), Some("Be brief."));
        assert_eq!(run.input.prompt.as_deref(), Some("-x"));
    }
}

#[derive(Args)]
pub(crate) struct QuantizeArgs {
    /// The model; of a split one, the first file
    #[arg(value_name = "IN")]
    pub(crate) input: PathBuf,
    /// The file to write; it appears when it is whole
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What to make of it, by llama.cpp's names
    #[arg(value_name = "TYPE", ignore_case = true, value_parser = recipes())]
    pub(crate) recipe: String,
}

fn recipes() -> PossibleValuesParser {
    let aliases = ["Q3_K", "Q4_K", "Q5_K"];
    let value = |recipe: Recipe| {
        let short = aliases.into_iter().find(|short| Recipe::named(short) == Some(recipe));
        PossibleValue::new(recipe.name()).aliases(short)
    };
    Recipe::all().map(value).collect::<Vec<_>>().into()
}

//! `gabion`: the command line. Everything it does goes through the public nouns of the core; data goes to stdout,
//! progress and messages to stderr, and nothing but data is written when stdout is a pipe.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.

mod args;
mod bench;
mod chat;
mod devices;
mod embed;
mod failure;
mod fit;
mod generate;
mod info;
mod interrupt;
mod load;
mod logger;
mod output;
mod perplexity;
mod quantize;
mod remote;
mod rerank;
mod run;
mod score;
mod tokenize;

use std::process::ExitCode;

use args::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    let cli = args::parse();
    logger::install(cli.global.verbose);
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: &Cli) -> Result<(), Failure> {
    cli.check()?;
    match &cli.command {
        Command::Run(args) => run::run(&cli.global, args),
        Command::Chat(args) => chat::chat(&cli.global, args),
        Command::Info(args) => info::info(&cli.global, args),
        Command::Fit(args) => fit::fit(&cli.global, args),
        Command::Tokenize(args) => tokenize::tokenize(&cli.global, args),
        Command::Score(args) => score::score(&cli.global, args),
        Command::Embed(args) => embed::embed(&cli.global, args),
        Command::Rerank(args) => rerank::rerank(&cli.global, args),
        Command::Classify(args) => rerank::classify(&cli.global, args),
        Command::FillMask(args) => rerank::fill_mask(&cli.global, args),
        Command::Perplexity(args) => perplexity::perplexity(&cli.global, args),
        Command::Bench(args) => bench::bench(&cli.global, args),
        Command::Devices(args) => devices::devices(args),
        Command::Quantize(args) => quantize::quantize(&cli.global, args),
    }
}

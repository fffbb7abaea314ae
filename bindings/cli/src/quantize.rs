//! `quantize`: a model file with smaller tensors.

use gabion::Progress;
use gabion::quant::Recipe;

use crate::args::{Global, QuantizeArgs};
use crate::failure::Failure;
use crate::{interrupt, load, output};

pub(crate) fn quantize(global: &Global, args: &QuantizeArgs) -> Result<(), Failure> {
    let recipe =
        Recipe::named(&args.recipe).ok_or_else(|| Failure::Usage(format!("no type is named {}", args.recipe)))?;
    interrupt::install();
    let bar = load::progress_bar("quantizing");
    let mut tell = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.loaded);
        !interrupt::hit()
    };
    let done = gabion::quantize(&args.input, &args.output, recipe, global.threads.unwrap_or(0), &mut tell);
    bar.finish_and_clear();
    let done = done?;
    let (name, before, after) = (recipe.name(), output::bytes(done.before), output::bytes(done.after));
    output::note(&format!("{}: {name}, {after} of tensors, from {before}", args.output.display()));
    Ok(())
}

//! `tokenize`: the tokens of a text. Needs the file's header only, no device.

use gabion::text::Tokenizer;
use gabion::{Error, Model};
use serde_json::json;

use crate::args::{Global, TokenizeArgs};
use crate::failure::Failure;
use crate::load::input_text;
use crate::output;

pub(crate) fn tokenize(global: &Global, args: &TokenizeArgs) -> Result<(), Failure> {
    let path = global.model()?;
    let text = input_text(&args.input)?;
    let missing = || Error::Tokenizer("the file has no tokenizer".into());
    let tokenizer = Tokenizer::from_header(&Model::read_header(path)?)?.ok_or_else(missing)?;
    let tokens = tokenizer.encode(&text, !args.parsing.no_bos, args.parsing.parse_special)?;
    if args.json {
        return output::json(&json!({ "tokens": tokens }));
    }
    for &id in &tokens {
        output::line(&format!("{id:>6} -> {}", output::quoted(&tokenizer.decode(&[id], true))))?;
    }
    Ok(())
}

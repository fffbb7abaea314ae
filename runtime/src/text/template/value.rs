//! What a template sees: plain values, built by hand.
//!
//! They never pass through serde_json, whose `arbitrary_precision` feature, turned on by any crate of a host, changes
//! how numbers look.

use minijinja::Value;

use super::control::ControlTexts;
use crate::error::{Error, Result};

/// Deeper values are refused: templates walk them recursively.
const MAX_DEPTH: usize = 64;

/// A value for a chat template. Maps keep their order.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub enum TemplateValue {
    #[default]
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<TemplateValue>),
    Map(Vec<(String, TemplateValue)>),
}

impl From<&str> for TemplateValue {
    fn from(text: &str) -> Self {
        TemplateValue::Str(text.into())
    }
}

impl TemplateValue {
    /// Bytes of text in it.
    pub(super) fn text_len(&self) -> usize {
        match self {
            TemplateValue::Str(text) => text.len(),
            TemplateValue::List(items) => items.iter().map(Self::text_len).sum(),
            TemplateValue::Map(entries) => entries.iter().map(|(key, value)| key.len() + value.text_len()).sum(),
            _ => 0,
        }
    }

    /// The engine's value, every string marked where it could be taken for a control token.
    pub(super) fn marked(&self, control: &ControlTexts) -> Result<Value> {
        self.build(control, None, 0)
    }

    /// `key`: the map key it stands under.
    fn build(&self, control: &ControlTexts, key: Option<&str>, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(Error::InvalidArgument(format!("template values nest deeper than {MAX_DEPTH}")));
        }
        Ok(match self {
            TemplateValue::None => Value::from(()),
            TemplateValue::Bool(v) => Value::from(*v),
            TemplateValue::Int(v) => Value::from(*v),
            TemplateValue::Float(v) => Value::from(*v),
            // templates build control tokens of role names and the like on purpose: '<|' + role + '|>'
            TemplateValue::Str(v) if is_word(v) && !matches!(key, Some("content" | "text")) => Value::from(v.as_str()),
            TemplateValue::Str(v) => Value::from(control.mark(v)),
            TemplateValue::List(items) => {
                let items = items.iter().map(|item| item.build(control, key, depth + 1));
                Value::from(items.collect::<Result<Vec<Value>>>()?)
            }
            TemplateValue::Map(entries) => {
                let entry = |(key, value): &(String, TemplateValue)| {
                    let name = if is_word(key) { key.clone() } else { control.mark(key) };
                    Ok((name, value.build(control, Some(key), depth + 1)?))
                };
                Value::from_pairs(entries.iter().map(entry).collect::<Result<Vec<(String, Value)>>>()?)
            }
        })
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'))
}

//! Chat templates: a model's own Jinja template turns a conversation into the text it was trained on.
//!
//! A template is a program from a stranger: it runs without access to anything, with limits on steps, recursion and
//! output. What users wrote can never become a control token (`control`).

mod control;
mod functions;
mod limits;
mod rewrite;
mod value;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, Value};

pub use control::ControlTexts;
pub use value::TemplateValue;

use super::tokenizer::{MAX_TEXT, Segment, Tokenizer};
use crate::error::{Error, Result};
use crate::gguf::Header;

/// Template instructions in one rendering, at most.
const MAX_FUEL: u64 = 2_000_000;
/// Bytes of its own plain text that a template may write in loops; writing once takes some 4 instructions.
const MAX_PLAIN: u64 = 512 << 20;
/// Depth of nested scopes; a macro call counts as a few.
const RECURSION: usize = 250;
/// Longest template, in bytes.
const MAX_SOURCE: usize = 256 << 10;
/// Bytes in a line, as rewritten: the engine counts columns in 16 bits.
const MAX_LINE: usize = 60_000;
const NAME: &str = "chat";

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// How a conversation is rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
    /// End with the words that make the model speak next. On by default.
    pub add_generation_prompt: bool,
    /// Further variables, such as `tools` or `enable_thinking`; they win over the standard ones.
    pub variables: Vec<(String, TemplateValue)>,
    /// The time that templates see, in seconds since 1970 (UTC); the clock's if `None`.
    pub now: Option<i64>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self { add_generation_prompt: true, variables: Vec::new(), now: None }
    }
}

/// A model's chat template. Cheap to render; usable from several threads.
pub struct ChatTemplate {
    /// The compiled template, or why it does not compile: a model with a broken template still completes plain text.
    env: std::result::Result<Environment<'static>, String>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChatTemplate({:?})", self.env.as_ref().map(drop))
    }
}

impl ChatTemplate {
    /// The template in a model file; `None` if it has none, as base models have not. A template that does not compile
    /// is an error when it is used.
    pub fn from_header(header: &Header) -> Result<Option<Self>> {
        let source = header.str("tokenizer.chat_template")?;
        Ok(source.map(|source| Self { env: compile(source).map_err(|e| e.to_string()) }))
    }

    /// A template from its source. `Error::Template` if it does not compile.
    pub fn new(source: &str) -> Result<Self> {
        let env = compile(source).map_err(Error::Template)?;
        Ok(Self { env: Ok(env) })
    }

    /// The tokens of a conversation, with BOS where the model wants it. `Error::Template` if the template refuses the
    /// conversation or exceeds its limits.
    pub fn tokens(&self, tokenizer: &Tokenizer, messages: &[Message], options: &ChatOptions) -> Result<Vec<u32>> {
        let segments = self.render(tokenizer, messages, options)?;
        let mut ids = tokenizer.encode_segments(&segments, false)?;
        if let Some(bos) = tokenizer.bos().filter(|bos| tokenizer.add_bos() && ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// The text of a conversation, as segments that say where control tokens may be. A template that refuses the system
    /// role gets the system message at the head of the first user message instead.
    pub fn render(&self, tokenizer: &Tokenizer, messages: &[Message], options: &ChatOptions) -> Result<Vec<Segment>> {
        let control = tokenizer.control_texts()?;
        let render = |messages: &[Message]| {
            let mut variables = standard_variables(tokenizer, messages, options);
            variables.extend(options.variables.iter().cloned());
            self.render_values(control, &variables, options.now)
        };
        let first = render(messages);
        match merge_system(messages).filter(|_| first.is_err()) {
            Some(merged) => render(&merged).or(first),
            None => first,
        }
    }

    /// Renders with exactly these variables; of equal names the last wins. Strings among them are a user's, except
    /// `bos_token` and the like (names that end in `_token`).
    pub fn render_values(
        &self,
        control: &ControlTexts,
        variables: &[(String, TemplateValue)],
        now: Option<i64>,
    ) -> Result<Vec<Segment>> {
        let env = self.env.as_ref().map_err(|e| Error::Template(e.clone()))?;
        let mut context = vec![(functions::NOW.to_owned(), Value::from(now.unwrap_or_else(clock)))];
        for (name, value) in variables {
            let value = match value {
                TemplateValue::Str(text) if name.ends_with("_token") => Value::from(text.as_str()),
                value => value.marked(control)?,
            };
            context.push((name.clone(), value));
        }
        let input: usize = variables.iter().map(|(_, value)| value.text_len()).sum();
        context.push((limits::INPUT.to_owned(), Value::from(input as i64)));
        let mut out = Output::default();
        let template = env.get_template(NAME).map_err(|e| failed(&e))?;
        template.render_captured_to(Value::from_pairs(context), &mut out).map_err(|e| failed(&e))?;
        let text = String::from_utf8(out.0).map_err(|_| Error::Template("wrote invalid UTF-8".into()))?;
        Ok(control::segments(&text))
    }
}

/// Collects rendered text up to the limit.
#[derive(Default)]
struct Output(Vec<u8>);

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(std::io::Error::other(format!("the text is longer than {MAX_TEXT} bytes")));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn compile(source: &str) -> std::result::Result<Environment<'static>, String> {
    if source.len() > MAX_SOURCE {
        return Err(format!("is {} bytes long, the limit is {MAX_SOURCE}", source.len()));
    }
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    env.set_syntax(syntax.map_err(|e| describe(&e))?);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_recursion_limit(RECURSION);
    functions::install(&mut env);
    limits::install(&mut env);
    let rewritten = rewrite::rewrite(&source.replace(control::MARK, ""));
    let (source, longest) = rewritten.ok_or("has a tag or a chain of tags that is too long")?;
    if source.lines().any(|line| line.len() > MAX_LINE) {
        return Err(format!("has a line of more than {MAX_LINE} bytes"));
    }
    env.set_fuel(Some((4 * MAX_PLAIN / longest.max(1) as u64).min(MAX_FUEL)));
    env.add_template_owned(NAME, source).map_err(|e| describe(&e))?;
    Ok(env)
}

fn failed(error: &minijinja::Error) -> Error {
    Error::Template(describe(error))
}

/// The innermost reason, with the template's line.
fn describe(error: &minijinja::Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return "takes too many steps".into();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn standard_variables(
    tokenizer: &Tokenizer,
    messages: &[Message],
    options: &ChatOptions,
) -> Vec<(String, TemplateValue)> {
    let text = |id: Option<u32>| {
        TemplateValue::Str(id.and_then(|id| tokenizer.token_text(id)).unwrap_or_default().into_owned())
    };
    let message = |message: &Message| {
        let field = |name: &str, value: &str| (name.to_owned(), TemplateValue::from(value));
        TemplateValue::Map(vec![field("role", &message.role), field("content", &message.content)])
    };
    let variables = [
        ("messages", TemplateValue::List(messages.iter().map(message).collect())),
        ("add_generation_prompt", TemplateValue::Bool(options.add_generation_prompt)),
        ("bos_token", text(tokenizer.bos())),
        ("eos_token", text(tokenizer.eos())),
        ("unk_token", text(tokenizer.unk())),
        ("pad_token", text(tokenizer.pad())),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The conversation with its leading system message put before the first user message's text.
fn merge_system(messages: &[Message]) -> Option<Vec<Message>> {
    let (system, rest) = messages.split_first().filter(|(first, _)| first.role == "system")?;
    let user = rest.iter().position(|message| message.role == "user")?;
    let mut merged = rest.to_vec();
    merged[user].content = format!("{}\n\n{}", system.content, merged[user].content);
    Some(merged)
}

/// Seconds since 1970.
fn clock() -> i64 {
    #[cfg(not(target_arch = "wasm32"))]
    use std::time::{SystemTime, UNIX_EPOCH};
    #[cfg(target_arch = "wasm32")]
    use web_time::{SystemTime, UNIX_EPOCH};
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

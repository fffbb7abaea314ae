//! `chat`: a conversation in the terminal. Ctrl-C stops a reply first; at the prompt it ends the program.

use std::io::{BufRead, IsTerminal};

use gabion::{ChatOptions, GenerateOptions, Message, Model, Session};
use rustyline::error::ReadlineError;

use crate::args::{ChatArgs, Global};
use crate::failure::Failure;
use crate::generate::{Reply, generate};
use crate::load::{load, model_name};
use crate::{interrupt, output};

const HELP: &str = "\
/regen   answer the last message anew
/clear   forget the conversation
/exit    leave (also Ctrl-D)
/help    this list
Ctrl-C stops a reply; at the prompt it leaves.";

pub(crate) fn chat(global: &Global, args: &ChatArgs) -> Result<(), Failure> {
    let path = global.model()?;
    let model = load(global)?.model;
    let mut chat = Chat::new(model, global, args)?;
    output::note(&chat.banner(&model_name(&chat.model, path)));
    let mut input = Lines::new()?;
    while let Some(line) = input.next()? {
        if !chat.line(line.trim())? {
            break;
        }
    }
    Ok(())
}

struct Chat {
    model: Model,
    session: Session,
    options: GenerateOptions,
    system: Option<Message>,
    messages: Vec<Message>,
}

impl Chat {
    fn new(model: Model, global: &Global, args: &ChatArgs) -> Result<Self, Failure> {
        if !model.has_chat_template() {
            let advice = "the model has no chat template, it only continues texts: use `gabion run -p TEXT`";
            return Err(Failure::Other(advice.into()));
        }
        let session = model.session(&args.context.options(global))?;
        let system = args.system_prompt.clone().map(|content| Message::new("system", content));
        Ok(Self { model, session, options: args.sampling.options(), system, messages: Vec::new() })
    }

    fn banner(&self, name: &str) -> String {
        let (device, n_ctx) = (&self.model.device().name, self.session.n_ctx());
        format!("gabion {} | {name} | {device} | context {n_ctx}\n/help lists commands", gabion::VERSION)
    }

    /// Obeys or answers one line; false to leave.
    fn line(&mut self, line: &str) -> Result<bool, Failure> {
        match line {
            "" => {}
            "/exit" => return Ok(false),
            "/help" => output::note(HELP),
            "/clear" => self.clear(),
            "/regen" => self.regenerate()?,
            line if line.starts_with('/') => output::note(&format!("no command '{line}'; /help lists them")),
            line => {
                self.messages.push(Message::new("user", line));
                self.reply()?;
            }
        }
        Ok(true)
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.session.clear();
        output::note("conversation cleared");
    }

    fn regenerate(&mut self) -> Result<(), Failure> {
        self.messages.pop_if(|last| last.role == "assistant");
        if self.messages.is_empty() {
            output::note("nothing to answer yet");
            return Ok(());
        }
        self.reply()
    }

    /// Answers the last message. What goes wrong with one reply is said, and the conversation goes on.
    fn reply(&mut self) -> Result<(), Failure> {
        match self.generate() {
            Ok(reply) => {
                output::text(if reply.text.ends_with('\n') { "" } else { "\n" })?;
                output::note(&reply.rates());
                self.messages.push(Message::new("assistant", &reply.text));
                if reply.stop == "context" {
                    output::note("the context is full: /clear starts anew, -c N gives more room");
                }
            }
            Err(Failure::Core(error @ (gabion::Error::ContextFull { .. } | gabion::Error::Template(_)))) => {
                output::note(&format!("error: {error}; /clear starts anew"));
                self.messages.pop();
            }
            Err(failure) => return Err(failure),
        }
        interrupt::reset();
        Ok(())
    }

    fn generate(&mut self) -> Result<Reply, Failure> {
        let messages: Vec<Message> = self.system.iter().chain(&self.messages).cloned().collect();
        let tokens = self.model.chat_tokens(&messages, &ChatOptions::default())?;
        // every reply draws anew, and the same seed still gives the same conversation
        self.options.sampler.seed = self.options.sampler.seed.wrapping_add(1);
        generate(&mut self.session, &tokens, &self.options, output::generated)
    }
}

/// Lines from an editor on a terminal, or as they come from a pipe.
enum Lines {
    Editor(Box<rustyline::DefaultEditor>),
    Plain,
}

impl Lines {
    fn new() -> Result<Self, Failure> {
        // the editor draws its prompt on stdout, which holds data when it is not a terminal
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(Lines::Plain);
        }
        let editor = rustyline::DefaultEditor::new();
        editor.map(|e| Lines::Editor(Box::new(e))).map_err(|e| Failure::Other(format!("cannot use the terminal: {e}")))
    }

    /// The next line; `None` at the end of input.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        match self {
            Lines::Editor(editor) => match editor.readline("> ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    Ok(Some(line))
                }
                Err(ReadlineError::Eof) => Ok(None),
                Err(ReadlineError::Interrupted) => Err(Failure::Interrupted),
                Err(error) => Err(Failure::Other(format!("cannot read from the terminal: {error}"))),
            },
            Lines::Plain => {
                let mut line = String::new();
                let read = std::io::stdin().lock().read_line(&mut line);
                let n = read.map_err(|error| Failure::Other(format!("cannot read stdin: {error}")))?;
                Ok((n > 0).then_some(line))
            }
        }
    }
}

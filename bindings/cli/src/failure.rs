//! Why a command failed, how that is said, and with which exit code.

use std::io;
use std::process::ExitCode;

use gabion::Error;

use crate::output;

/// Exit code of a process that Ctrl-C stopped: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) enum Failure {
    /// The arguments do not say what to do.
    Usage(String),
    /// The core says no.
    Core(Error),
    /// A failure outside the core: what happened and what to do.
    Other(String),
    /// The answer is no, and stdout says why.
    Told,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Nobody reads stdout any more: not an error.
    BrokenPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Failure::Interrupted,
            error => Failure::Core(error),
        }
    }
}

impl Failure {
    /// A failed write to stdout.
    pub(crate) fn stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Other(format!("cannot write to stdout: {error}")),
        }
    }

    /// Says what went wrong and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Failure::Usage(message) => {
                output::note(&format!("error: {message}\n\nFor more information, try '--help'."));
                ExitCode::from(2)
            }
            Failure::Core(error) => {
                output::note(&format!("error: {error}"));
                if let Some(hint) = hint(&error) {
                    output::note(&format!("hint: {hint}"));
                }
                ExitCode::from(1)
            }
            Failure::Other(message) => {
                output::note(&format!("error: {message}"));
                ExitCode::from(1)
            }
            Failure::Told => ExitCode::from(1),
            Failure::Interrupted => ExitCode::from(INTERRUPTED),
            Failure::BrokenPipe => ExitCode::SUCCESS,
        }
    }
}

/// What to do next, where the message itself does not say.
fn hint(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "check the path; `python3 examples/quickstart.py --fetch-only` fetches a model and prints its path"
        }
        Error::Gguf(_) => "the file may be damaged or half downloaded: fetch it again",
        Error::Unsupported(_) => "`gabion info -m FILE` shows what the file holds",
        Error::Device(_) => "`gabion devices` lists the devices of this machine; --device cpu always works",
        Error::DeviceLost(_) => "run the command again, or use --device cpu",
        Error::OutOfMemory { .. } => "use a smaller context (-c), a smaller model, or another device",
        Error::ContextFull { .. } => "give a larger -c, or a shorter text",
        Error::Internal(_) => "this is a defect in gabion: please report it with the command and the model",
        _ => return None,
    })
}

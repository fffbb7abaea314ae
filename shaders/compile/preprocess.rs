//! The preprocessor: `#import path`, `#ifdef NAME...` (any of them), `#ifndef NAME...`, `#else`, `#endif`, each at the start of
//! a line.
//!
//! `#import shared/x` pastes `wgsl/shared/x.wgsl` once per shader, however often it is asked for; `{AXIS}` in the path is
//! replaced by the permutation's value. Comments and indentation are dropped from the result, which ships in binaries: as pieces
//! between directives, because permutations of a shader differ in few of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::permutations::Defines;

/// The source of `name` with its imports, under `defines`, in pieces.
pub(crate) fn file(folder: &Path, name: &str, defines: &Defines) -> Result<Vec<String>, String> {
    let mut expander = Expander { folder, defines, imported: BTreeSet::new(), pieces: Vec::new() };
    expander.file(name)?;
    expander.pieces.retain(|piece| !piece.is_empty());
    Ok(expander.pieces)
}

struct Expander<'a> {
    folder: &'a Path,
    defines: &'a Defines,
    imported: BTreeSet<String>,
    /// The last is being written.
    pieces: Vec<String>,
}

/// One open `#ifdef`.
struct Branch {
    /// Whether the lines around the whole `#ifdef` are kept.
    outer: bool,
    /// Whether the condition holds.
    holds: bool,
    /// Whether `#else` was passed.
    inverted: bool,
}

impl Branch {
    fn keeps(&self) -> bool {
        self.outer && self.holds != self.inverted
    }
}

impl Expander<'_> {
    fn file(&mut self, name: &str) -> Result<(), String> {
        if !self.imported.insert(name.to_string()) {
            return Ok(());
        }
        let path = self.folder.join(format!("{name}.wgsl"));
        let text = fs::read_to_string(&path).map_err(|e| format!("{name}.wgsl: {e}"))?;
        let mut open: Vec<Branch> = Vec::new();
        self.pieces.push(String::new());
        for (number, line) in text.lines().enumerate() {
            let at = |problem: &str| format!("{name}.wgsl:{}: {problem}", number + 1);
            let keeps = open.last().is_none_or(Branch::keeps);
            match line.strip_prefix('#') {
                Some(directive) => self.directive(directive, keeps, &mut open).map_err(|e| at(&e))?,
                None if keeps => self.line(line).map_err(|e| at(&e))?,
                None => {}
            }
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{name}.wgsl: #ifdef without #endif")) }
    }

    fn directive(&mut self, directive: &str, keeps: bool, open: &mut Vec<Branch>) -> Result<(), String> {
        let (word, argument) = directive.split_once(' ').unwrap_or((directive, ""));
        let argument = argument.trim();
        match word.trim() {
            "import" if keeps => self.file(&self.path(argument)?)?,
            "import" => {}
            "ifdef" | "ifndef" => {
                let any = argument.split_whitespace().any(|name| self.defines.contains_key(name));
                let holds = any == (word == "ifdef");
                open.push(Branch { outer: keeps, holds, inverted: false });
            }
            "else" => match open.last_mut() {
                Some(branch) if !branch.inverted => branch.inverted = true,
                _ => return Err("#else without #ifdef".into()),
            },
            "endif" => {
                open.pop().ok_or("#endif without #ifdef")?;
            }
            _ => return Err(format!("unknown directive #{word}")),
        }
        self.pieces.push(String::new());
        Ok(())
    }

    /// `path` with `{AXIS}` replaced.
    fn path(&self, path: &str) -> Result<String, String> {
        let Some((before, rest)) = path.split_once('{') else { return Ok(path.to_string()) };
        let (axis, after) = rest.split_once('}').ok_or("{ without }")?;
        let value = self.defines.get(axis).ok_or_else(|| format!("{axis} has no value here"))?;
        Ok(format!("{before}{value}{after}"))
    }

    /// WGSL has no string literals, so `//` always begins a comment. Local variables must say what they begin with: without
    /// that, Dawn's compiler (and naga before 30) makes them zero once, not in every turn of the loop that they are in.
    fn line(&mut self, line: &str) -> Result<(), String> {
        let code = line.split("//").next().unwrap_or("").trim();
        if code.starts_with("var ") && !code.contains('=') {
            return Err("a variable without a first value".into());
        }
        if let (false, Some(piece)) = (code.is_empty(), self.pieces.last_mut()) {
            piece.push_str(code);
            piece.push('\n');
        }
        Ok(())
    }
}

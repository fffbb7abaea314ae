//! Saved sessions: tokens, caches, recurrent states and logits as bytes that any device can go on from.
//!
//! Little-endian: `MAGIC`, the model's fingerprint (u64), then as u32 the cache's type, the numbers of the encoder's tokens, of tokens,
//! of logits and of layers; the tokens; each layer's first position and the one past its last; the logits as float32; the state
//! (`device/record.rs`); and a checksum of all before it (u64).

use std::ops::Range;

use crate::device::{Held, KvType, StateOptions, kv_capacity};
use crate::error::{Error, Result};
use crate::fnv::{self, Fnv};
use crate::gguf::{Header, Value};
use crate::graph::{Mask, Plan};

/// Also the version of the form.
const MAGIC: &[u8; 8] = b"gabsess1";
const KV_TYPES: [KvType; 4] = [KvType::F16, KvType::F32, KvType::Q8_0, KvType::Q4_0];
/// Bytes before the tokens, and after everything.
const FIXED: usize = 8 + 8 + 5 * 4 + 8;

/// A session's contents.
pub(crate) struct Contents<'a> {
    pub(crate) fingerprint: u64,
    pub(crate) kv: KvType,
    pub(crate) source: Vec<u32>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) logits: Vec<f32>,
    pub(crate) positions: Vec<Range<usize>>,
    pub(crate) state: &'a [u8],
}

impl Contents<'_> {
    /// Everything before the state.
    pub(crate) fn head(&self) -> Vec<u8> {
        let kv = KV_TYPES.iter().position(|&kv| kv == self.kv).unwrap_or_default();
        let counts = [kv, self.source.len(), self.tokens.len(), self.logits.len(), self.positions.len()];
        let ends = self.positions.iter().flat_map(|held| [held.start, held.end]).map(|at| at as u32);
        let words = counts.map(|n| n as u32).into_iter().chain(self.source.iter().chain(&self.tokens).copied());
        let mut bytes = [&MAGIC[..], &self.fingerprint.to_le_bytes()].concat();
        bytes.extend(words.chain(ends).flat_map(u32::to_le_bytes));
        bytes.extend(self.logits.iter().flat_map(|x| x.to_le_bytes()));
        bytes
    }
}

impl<'a> Contents<'a> {
    /// What `saved` says, if it is whole. Nothing of it is checked against a model yet.
    pub(crate) fn parse(saved: &'a [u8]) -> Result<Self> {
        let damaged = || bad("damaged, or no saved session");
        let (rest, sum) = saved.split_last_chunk::<8>().ok_or_else(damaged)?;
        if !rest.starts_with(MAGIC) || saved.len() < FIXED {
            return Err(damaged());
        }
        if fnv::of(rest) != u64::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let mut words = Words(&rest[MAGIC.len()..]);
        let fingerprint = u64::from_le_bytes(words.bytes(8).and_then(|b| b.try_into().ok()).ok_or_else(damaged)?);
        let mut counts = [0; 5];
        for count in &mut counts {
            *count = words.take(1).and_then(|mut words| words.next()).ok_or_else(damaged)? as usize;
        }
        let [kv, n_source, n_tokens, n_logits, n_layers] = counts;
        let source = words.take(n_source).ok_or_else(damaged)?.collect();
        let tokens = words.take(n_tokens).ok_or_else(damaged)?.collect();
        let ends: Vec<u32> = words.take(2 * n_layers).ok_or_else(damaged)?.collect();
        let logits = words.take(n_logits).ok_or_else(damaged)?.map(f32::from_bits).collect();
        let positions = ends.chunks_exact(2).map(|ends| ends[0] as usize..ends[1] as usize).collect();
        let kv = *KV_TYPES.get(kv).ok_or_else(damaged)?;
        Ok(Self { fingerprint, kv, source, tokens, logits, positions, state: words.0 })
    }

    /// Checks that a session of a model of this plan can take it.
    pub(crate) fn check(&self, plan: &Plan, fingerprint: u64, options: &StateOptions) -> Result<()> {
        if self.fingerprint != fingerprint {
            return Err(bad("of another model"));
        }
        if self.kv != options.kv {
            let (theirs, own) = (self.kv.name(), options.kv.name());
            return Err(bad(&format!("of a cache of {theirs}, and this session's is of {own}: make one of {theirs}")));
        }
        let wanted = self.source.len().max(self.tokens.len());
        if wanted > options.n_ctx {
            return Err(Error::ContextFull { wanted, limit: options.n_ctx });
        }
        let known = |&id: &u32| (id as usize) < plan.n_vocab;
        let sizes = [0, plan.n_vocab].contains(&self.logits.len()) && self.positions.len() == plan.layers.len();
        if !sizes || !self.source.iter().chain(&self.tokens).all(known) || !self.covers(plan) {
            return Err(bad("inconsistent"));
        }
        match self.held().bytes(plan, self.kv) == self.state.len() {
            true => Ok(()),
            false => Err(bad("inconsistent")),
        }
    }

    /// Whether each layer holds what the next token sees.
    fn covers(&self, plan: &Plan) -> bool {
        let n = self.tokens.len();
        plan.layers.iter().zip(&self.positions).all(|(layer, held)| {
            let first = layer.window.map_or(0, |window| (n + 1).saturating_sub(window));
            match layer.mask {
                _ if layer.kv_from.is_some() => held.is_empty(),
                Mask::Causal => held.end == n && held.start <= first,
                Mask::Cross => *held == (0..self.source.len()),
                Mask::Full => held.is_empty(),
            }
        })
    }

    pub(crate) fn held(&self) -> Held {
        Held { positions: self.positions.clone(), source: self.source.len() }
    }
}

/// The positions that each layer's cache holds of a session of so many tokens: `written` is one past the highest position that was
/// ever written, nothing before `oldest` is there where layers have windows.
pub(crate) fn positions(
    plan: &Plan,
    options: &StateOptions,
    (tokens, source): (usize, usize),
    (oldest, written): (usize, usize),
) -> Vec<Range<usize>> {
    let held = |window: Option<usize>| {
        let lost = window.map_or(0, |_| oldest.max(written.saturating_sub(kv_capacity(window, options))));
        lost.min(tokens)..tokens
    };
    let layers = plan.layers.iter().map(|layer| match layer.mask {
        _ if layer.kv_from.is_some() => 0..0,
        Mask::Causal => held(layer.window),
        Mask::Cross => 0..source,
        Mask::Full => 0..0,
    });
    layers.collect()
}

/// Tells models apart: by their tensors, and all that their headers say but for the contents of lists.
pub(crate) fn fingerprint(header: &Header) -> u64 {
    let mut hash = Fnv::new();
    for (key, value) in header.entries() {
        hash.add(key.as_bytes());
        hash.add(
            match value {
                Value::Array(list) => list.len().to_string(),
                scalar => format!("{scalar:?}"),
            }
            .as_bytes(),
        );
    }
    for tensor in &header.tensors {
        hash.add(tensor.name.as_bytes());
        tensor.dims.iter().for_each(|dim| hash.add(&dim.to_le_bytes()));
        hash.add(&tensor.type_id.to_le_bytes());
    }
    hash.finish()
}

struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bytes)
    }

    fn take(&mut self, n: usize) -> Option<impl Iterator<Item = u32> + use<'a>> {
        let bytes = self.bytes(n.checked_mul(4)?)?;
        Some(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
    }
}

fn bad(why: &str) -> Error {
    Error::InvalidArgument(format!("the saved session is {why}"))
}

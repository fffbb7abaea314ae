//! `gemma4`: gemma3 with normed values, heads of another size and frequencies of another kind on global layers, inputs of each
//! layer's own, and last layers that attend to the keys and values of earlier ones.

use super::decoder::{Decoder, NormNames, QkNorms, Sizes};
use super::keys::Keys;
use super::rope;
use super::spec::{Activation, ModelSpec, Qkv, RopeStyle};
use crate::error::{Error, Result};

/// Every sixth layer is global, where the file does not say otherwise.
const PERIOD: usize = 6;

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    if keys.u32("expert_count")?.is_some_and(|n| n > 0) {
        return Err(Error::Unsupported(format!("experts beside a feed-forward layer ({})", keys.key("expert_count"))));
    }
    let mut sizes = Sizes::read(keys)?;
    let global = sizes.head_dims[0];
    let local = keys.width_or("attention.key_length_swa", global)?;
    let values = |name: &str, head_dim| Ok::<_, Error>(keys.width_or(name, head_dim)? == head_dim);
    if !values("attention.value_length", global)? || !values("attention.value_length_swa", local)? {
        return Err(Error::Unsupported("value heads of another size than key heads".into()));
    }
    let n_rot = keys.width_or("rope.dimension_count_swa", local)?;
    if n_rot % 2 != 0 || n_rot > local || local % 2 != 0 {
        return Err(keys.bad("rope.dimension_count_swa", format!("{n_rot} of {local} dimensions cannot be rotated")));
    }
    let (window, sliding) = (keys.window()?, keys.sliding(sizes.n_layer, PERIOD)?);
    for (i, _) in sliding.iter().enumerate().filter(|(_, sliding)| **sliding) {
        keys.product("attention.head_count", sizes.heads[i], local)?;
        sizes.head_dims[i] = local;
    }
    let local_base = keys.positive_or("rope.freq_base_swa", rope::BASE)?;
    let mut decoder = Decoder {
        activation: Activation::GeluTanh,
        qkv,
        qk_norm: Some(QkNorms::Heads),
        value_norm: true,
        kv_from: shared(keys, &sliding)?,
        norms: NormNames::SANDWICH,
        embedding_scale: (sizes.n_embd as f32).sqrt(),
        attention_scale: Some(1.0),
        per_layer: match keys.u32("embedding_length_per_layer_input")?.unwrap_or(0) {
            0 => None,
            _ => Some(keys.width("embedding_length_per_layer_input")?),
        },
        layers: sliding.iter().map(|&sliding| if sliding { (window, 1) } else { (None, 0) }).collect(),
        // factors of the frequencies, which make most of them nothing, are those of global layers
        ..Decoder::plain(keys, &sizes, RopeStyle::Neox)?
    };
    decoder.ropes.push(rope::plain(RopeStyle::Neox, n_rot, local_base, 1.0));
    decoder.build(keys, &sizes)
}

/// The first of the layers without keys and values of their own.
fn first_shared(keys: &Keys<'_>, n_layer: usize) -> Result<usize> {
    let key = "attention.shared_kv_layers";
    let shared = keys.u32(key)?.unwrap_or(0) as usize;
    let first = n_layer.checked_sub(shared).filter(|&first| first > 0);
    first.ok_or_else(|| keys.bad(key, format!("{shared} of {n_layer} layers")))
}

/// Those attend to the last layer of their kind that has its own.
fn shared(keys: &Keys<'_>, sliding: &[bool]) -> Result<Vec<Option<usize>>> {
    let first = first_shared(keys, sliding.len())?;
    let source = |i: usize| match (i >= first).then(|| (0..first).rev().find(|&j| sliding[j] == sliding[i])) {
        Some(None) => Err(keys.bad("attention.shared_kv_layers", format!("layer {i} has nobody to share with"))),
        source => Ok(source.flatten()),
    };
    (0..sliding.len()).map(source).collect()
}

/// Without a matrix of their own, values are keys before their norm.
fn qkv(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Qkv> {
    let linear = |part: &str, heads: usize| keys.linear(&format!("blk.{i}.{part}"), s.n_embd, heads * s.head_dims[i]);
    let q = linear("attn_q", s.heads[i])?;
    if i >= first_shared(keys, s.n_layer)? {
        return Ok(Qkv::Direct(vec![q]));
    }
    let k = linear("attn_k", s.kv_heads[i])?;
    let v = match keys.header.tensor(&format!("blk.{i}.attn_v.weight")) {
        Some(_) => linear("attn_v", s.kv_heads[i])?,
        None => k.clone(),
    };
    Ok(Qkv::Direct(vec![q, k, v]))
}

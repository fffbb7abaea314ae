//! `deepseek2` (DeepSeek V2, V3, R1, Kimi K2): latent attention, whose rope turns a part of its own; experts, in groups or not,
//! beside a layer that all rows share, after some blocks without.

use super::decoder::{Decoder, Sizes};
use super::keys::Keys;
use super::spec::{LatentSpec, ModelSpec, Qkv, RopeStyle};
use crate::error::{Error, Result};

pub(super) fn spec(keys: &Keys<'_>) -> Result<ModelSpec> {
    let sizes = Sizes::read(keys)?;
    if keys.u32("attention.key_length_mla")?.is_none() {
        let what = "files made before keys and values were absorbed into queries and results";
        return Err(Error::Unsupported(format!("{what} ({} is missing)", keys.key("attention.key_length_mla"))));
    }
    let mut decoder = Decoder { qkv: latent, normalized: false, ..Decoder::plain(keys, &sizes, RopeStyle::Norm)? };
    let scale = (keys.width("attention.key_length_mla")? as f32).sqrt().recip();
    // YaRN grows scores, instead of cos and sin of the part that is turned
    let growth = keys.f32("rope.scaling.yarn_log_multiplier")?.filter(|&growth| growth != 0.0);
    let growth = growth.filter(|_| keys.str("rope.scaling.type").is_ok_and(|kind| kind == Some("yarn")));
    decoder.attention_scale = Some(match growth {
        None => scale,
        Some(growth) => {
            decoder.ropes[0].magnitude = 1.0;
            let factor = keys.positive_or("rope.scaling.factor", 1.0)?;
            scale * (1.0 + growth * factor.ln()).powi(2)
        }
    });
    decoder.build(keys, &sizes)
}

fn latent(keys: &Keys<'_>, s: &Sizes, i: usize) -> Result<Qkv> {
    let name = |part: &str| format!("blk.{i}.{part}");
    let (heads, head_dim, rank) = (s.heads[i], s.head_dims[i], keys.width("attention.kv_lora_rank")?);
    let (key, value) = (keys.width("attention.key_length_mla")?, keys.width("attention.value_length_mla")?);
    if s.kv_heads[i] != 1 || rank + s.n_rot != head_dim || key <= s.n_rot {
        let parts = format!("{rank} and {} rotated, of {key}", s.n_rot);
        return Err(keys.bad("attention.key_length", format!("{head_dim} is not that of one latent head ({parts})")));
    }
    let wide = |n: usize| keys.product("attention.head_count", heads, n);
    let (q_inputs, q, q_a) = match keys.u32("attention.q_lora_rank")?.filter(|&rank| rank > 0) {
        None => (s.n_embd, "attn_q", None),
        Some(_) => {
            let q_rank = keys.width("attention.q_lora_rank")?;
            let norm = keys.tensor(&name("attn_q_a_norm.weight"), &[q_rank])?;
            (q_rank, "attn_q_b", Some((keys.linear(&name("attn_q_a"), s.n_embd, q_rank)?, norm)))
        }
    };
    wide(value)?;
    Ok(Qkv::Latent(Box::new(LatentSpec {
        q_a,
        q: keys.linear(&name(q), q_inputs, wide(key)?)?,
        kv_a: keys.linear(&name("attn_kv_a_mqa"), s.n_embd, head_dim)?,
        kv_norm: keys.tensor(&name("attn_kv_a_norm.weight"), &[rank])?,
        k_b: keys.stacked(&name("attn_k_b"), key - s.n_rot, rank, heads)?,
        v_b: keys.stacked(&name("attn_v_b"), rank, value, heads)?,
    })))
}

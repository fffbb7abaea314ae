//! The calls of rope, cache writes and attention.

use super::{Binding, Builder, Field};
use crate::device::gpu::fuse;
use crate::device::gpu::pipeline::Slice;
use crate::device::gpu::program::Grid;
use crate::device::gpu::state::Cache;
use crate::graph::{AttentionPlan, BufId, Mask, RopeStyle, WeightId};

/// Queries that a workgroup of the attention kernels makes: heads, or heads by rows.
const TILE_QUERIES: usize = 4;

/// Invocations that every adapter gives a workgroup.
const MOST_INVOCATIONS: u32 = 256;

/// Positions a row sees; 0 for all.
fn window(layer: &AttentionPlan) -> u32 {
    layer.window.map_or(0, |window| u32::try_from(window).unwrap_or(0))
}

/// As `shaders/wgsl/shared/visible.wgsl` numbers them.
fn mask(layer: &AttentionPlan) -> u32 {
    match layer.mask {
        Mask::Full => 0,
        Mask::Causal => 1,
        Mask::Cross => 2,
    }
}

/// Half of a head's elements.
fn pairs(layer: &AttentionPlan) -> u32 {
    layer.head_dim as u32 / 2
}

/// What becomes of a layer's scores: constants and fields of every attention kernel.
fn score_constants(layer: &AttentionPlan) -> [Field; 4] {
    let buckets = layer.relative.map_or(0, |relative| relative.buckets as u32);
    [
        ("CAPPED", u32::from(layer.softcap.is_some())),
        ("ALIBI", u32::from(layer.alibi.is_some())),
        ("BUCKETS", buckets),
        ("BOTH_WAYS", u32::from(layer.mask != Mask::Causal)),
    ]
}

fn score_fields(layer: &AttentionPlan) -> [Field; 3] {
    let bits = |x: Option<f32>| x.unwrap_or(0.0).to_bits();
    [("scale", layer.scale.to_bits()), ("softcap", bits(layer.softcap)), ("alibi", bits(layer.alibi))]
}

fn sinks_constant(layer: &AttentionPlan) -> Field {
    ("SINKS", u32::from(layer.sinks.is_some()))
}

/// Of every kernel that knows the cache.
fn keys_constant(layer: &AttentionPlan) -> Field {
    ("KEYS_ONLY", u32::from(layer.keys_only))
}

/// Which heads the rope kernels norm.
fn norm_constants(layer: &AttentionPlan) -> [Field; 2] {
    [("NORM_Q", u32::from(layer.q_norm.is_some())), ("NORM_K", u32::from(layer.k_norm.is_some()))]
}

impl Builder<'_> {
    /// The cache that a layer attends to, its own or another's.
    fn cache(&self, layer: usize) -> &Cache {
        &self.buffers.caches[self.plan().layers[layer].kv_from.unwrap_or(layer)]
    }

    /// A layer's heads, and the ring of its cache.
    fn cache_fields(&self, layer: usize) -> [Field; 5] {
        let (a, cache) = (&self.plan().layers[layer], self.cache(layer));
        [
            ("heads", a.heads as u32),
            ("kv_heads", a.kv_heads as u32),
            ("pairs", pairs(a)),
            ("capacity", cache.capacity),
            ("slots", cache.slots),
        ]
    }

    /// A layer's rotary embedding, and the epsilon of the norms before it.
    fn rope_fields(&self, layer: usize) -> [Field; 5] {
        let index = self.plan().layers[layer].rope;
        let (rope, tables) = (&self.plan().ropes[index], self.buffers.tables[index]);
        [
            ("rotated", rope.inv_freq.len() as u32),
            ("neighbours", u32::from(rope.style == RopeStyle::Norm)),
            ("coarse", tables.coarse),
            ("fine", tables.fine),
            ("eps", self.plan().eps.to_bits()),
        ]
    }

    /// The projections and the layer's cache.
    fn cache_buffers(&self, qkv: BufId, layer: usize) -> [Binding; 3] {
        let cache = self.cache(layer);
        [("qkv", self.slice(qkv)), ("keys", Slice::whole(&cache.keys)), ("values", Slice::whole(&cache.values))]
    }

    /// Where a vector starts in the arena, in words.
    pub(super) fn arena_word(&self, id: Option<WeightId>) -> u32 {
        id.map_or(0, |id| (self.weights.placement.vectors[&id] / 4) as u32)
    }

    pub(super) fn attend(&mut self, qkv: BufId, layer: usize, out: BufId) {
        let a = &self.plan().layers[layer];
        let (window, (width, span)) = (window(a), (self.tuning().attention_width(pairs(a)), self.tuning().span));
        let mut fields = [self.cache_fields(layer), self.rope_fields(layer)].concat();
        fields.extend([("q_norm", self.arena_word(a.q_norm)), ("k_norm", self.arena_word(a.k_norm))]);
        fields.extend(score_fields(a));
        fields.extend([("window", window), self.sinks(a), self.relative(a)]);
        let arena = ("arena", Slice::whole(&self.weights.arena));
        let partials = ("partials", Slice::whole(&self.buffers.partials));
        let mut buffers = self.cache_buffers(qkv, layer).to_vec();
        buffers.extend([("angles", Slice::whole(&self.buffers.angles)), arena.clone()]);
        buffers.extend([("out", self.slice(out)), partials.clone()]);
        let sinks = sinks_constant(a);
        let mut constants = [norm_constants(a).as_slice(), &score_constants(a)].concat();
        constants.extend([("WIDTH", width), ("PAIRS", pairs(a)), ("SPAN", span), sinks, keys_constant(a)]);
        let groups = (a.kv_heads * (a.heads / a.kv_heads).div_ceil(TILE_QUERIES)) as u32;
        let merged = [("heads", a.heads as u32), ("head_dim", a.head_dim as u32), ("window", window), self.sinks(a)];
        let several = self.buffers.caches[layer].capacity > span;
        let shader = format!("decode_attention.{}", self.buffers.kv);
        self.call(&shader, &fields, &buffers, Grid::Spans { x: groups, window });
        self.constants(&constants);
        if several {
            let buffers = [partials, ("out", self.slice(out)), arena];
            self.call("merge_heads", &merged, &buffers, Grid::Merge { x: merged[0].1, window });
            self.constants(&[("WIDTH", width), ("SPAN", span), sinks]);
        }
    }

    /// Whether rows are those of texts.
    fn texts(&self) -> u32 {
        u32::from(self.plan().texts)
    }

    /// Where a layer's sinks start in the arena.
    fn sinks(&self, layer: &AttentionPlan) -> Field {
        ("sinks", self.arena_word(layer.sinks))
    }

    /// Where a layer's biases by distance start in the arena.
    fn relative(&self, layer: &AttentionPlan) -> Field {
        ("relative", self.arena_word(layer.relative.map(|relative| relative.table)))
    }

    pub(super) fn rope_store(&mut self, qkv: BufId, layer: usize) {
        self.store_rows(qkv, layer, true);
    }

    /// `rope_store` without queries, norms and rope.
    pub(super) fn store(&mut self, kv: BufId, layer: usize) {
        self.store_rows(kv, layer, false);
    }

    /// `turned`: queries come before keys and values, and norms and rope first.
    fn store_rows(&mut self, qkv: BufId, layer: usize, turned: bool) {
        let a = &self.plan().layers[layer];
        let heads = if turned { a.heads as u32 } else { 0 };
        let mut fields = [self.cache_fields(layer), self.rope_fields(layer)].concat();
        if !turned {
            let none = |field: &&mut Field| ["heads", "rotated"].contains(&field.0);
            fields.iter_mut().filter(none).for_each(|field| field.1 = 0);
        }
        fields.extend([("stride", self.stride(qkv)), ("texts", self.texts())]);
        let mut buffers = self.cache_buffers(qkv, layer).to_vec();
        buffers.extend([("q_norm", self.optional(a.q_norm)), ("k_norm", self.optional(a.k_norm))]);
        buffers.push(("angles", Slice::whole(&self.buffers.angles)));
        let mut constants = if turned { norm_constants(a).to_vec() } else { vec![("NORM_Q", 0), ("NORM_K", 0)] };
        constants.push(("WIDTH", self.tuning().rope_width));
        constants.push(keys_constant(a));
        let grid = self.per_row(heads + (a.kv_width() / a.head_dim) as u32);
        self.call(&format!("rope_store.{}", self.buffers.kv), &fields, &buffers, grid);
        self.constants(&constants);
    }

    pub(super) fn attention(&mut self, qkv: BufId, layer: usize, out: BufId) {
        let a = &self.plan().layers[layer];
        let (pairs, group) = (pairs(a), a.heads / a.kv_heads);
        let mut fields = self.cache_fields(layer).to_vec();
        fields.extend([("qkv_stride", self.stride(qkv)), ("out_stride", self.stride(out))]);
        fields.extend(score_fields(a));
        fields.extend([("window", window(a)), ("mask", mask(a)), ("texts", self.texts())]);
        fields.extend([self.sinks(a), self.relative(a)]);
        let mut constants = [score_constants(a).as_slice(), &[sinks_constant(a), keys_constant(a)]].concat();
        let mut buffers = self.cache_buffers(qkv, layer).to_vec();
        buffers.extend([("out", self.slice(out)), ("arena", Slice::whole(&self.weights.arena))]);
        let kv = self.buffers.kv;
        if a.head_dim > fuse::MAX_HEAD_DIM {
            let heads = a.heads as u32;
            self.call(&format!("attention_wide.{kv}"), &fields, &buffers, self.per_row(heads));
            constants.push(("WIDTH", pairs.next_power_of_two().clamp(32, MOST_INVOCATIONS)));
            return self.constants(&constants);
        }
        // rows of a window or of several texts would start their blocks of keys at different positions, and round differently
        let heads = group.min(TILE_QUERIES);
        let rows = if a.window.is_some() || a.mask != Mask::Causal || self.plan().texts {
            1
        } else {
            (TILE_QUERIES / heads) as u32
        };
        let grid = Grid::Rows { x: (a.kv_heads * group.div_ceil(heads)) as u32, each: rows };
        let width = self.tuning().attention_width(pairs);
        self.call(&format!("attention.{kv}"), &fields, &buffers, grid);
        constants.extend([("WIDTH", width), ("PAIRS", pairs), ("HEADS", heads as u32), ("ROWS", rows)]);
        self.constants(&constants);
    }
}

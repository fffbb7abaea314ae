// The key/value cache of one layer, a ring of `shape.slots` positions (a multiple of 8 in memory), two elements a word (f16)
// or a vec2 (f32). Keys of eight positions lie together, pair by pair, so that neighbouring invocations, each with its own
// key, read neighbouring words; values lie position by position, so that neighbours, each with its own pair, do too.
// Needs `shape.slots` (allocated), `shape.capacity` (the ring) and `shape.pairs` (head_dim / 2).
#ifdef KV_F32
alias Pair = vec2<f32>;
fn packed(v: vec2<f32>) -> Pair {
    return v;
}
fn unpacked(p: Pair) -> vec2<f32> {
    return p;
}
#else
alias Pair = u32;
fn packed(v: vec2<f32>) -> Pair {
    return pack2x16float(v);
}
fn unpacked(p: Pair) -> vec2<f32> {
    return unpack2x16float(p);
}
#endif
// below every score
const LOWEST: f32 = -3.0e38;

fn key_at(kv_head: u32, slot: u32, pair: u32) -> u32 {
    return ((kv_head * (shape.slots / 8u) + slot / 8u) * shape.pairs + pair) * 8u + slot % 8u;
}

fn value_at(kv_head: u32, slot: u32, pair: u32) -> u32 {
    return (kv_head * shape.slots + slot) * shape.pairs + pair;
}

// The slot of a position, from one that may lie up to a ring too far.
fn ring(slot: u32) -> u32 {
    return select(slot, slot - shape.capacity, slot >= shape.capacity);
}

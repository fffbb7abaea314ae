// The key/value cache of one layer, a ring of `shape.slots` positions (a multiple of 8 in memory). A head's key or value is
// words of PER pairs of elements each and then, where elements are SCALED, words of two scales each, one for GROUP pairs.
// Keys of eight positions lie together, word by word, so that neighbouring invocations, each with its own key, read
// neighbouring words; values lie position by position, so that neighbours, each with its own pair, do too.
// Needs `shape.slots` (allocated), `shape.capacity` (the ring), `shape.pairs` (head_dim / 2), `keys` and `values`.
#import kv/{KV}
// 1 where keys are values too, and there are no others
override KEYS_ONLY: u32 = 0u;
// below every score
const LOWEST: f32 = -3.0e38;

// Words of a key or value before its scales.
fn words() -> u32 {
    return (shape.pairs + PER - 1u) / PER;
}

// Words of a key or value.
fn record() -> u32 {
    if (!SCALED) {
        return shape.pairs;
    }
    return words() + (shape.pairs + 2u * GROUP - 1u) / (2u * GROUP);
}

// Where word 0 of a key lies; the next ones follow 8 apart.
fn key_at(kv_head: u32, slot: u32) -> u32 {
    return (kv_head * (shape.slots / 8u) + slot / 8u) * record() * 8u + slot % 8u;
}

// Where word 0 of a value lies.
fn value_at(kv_head: u32, slot: u32) -> u32 {
    if (KEYS_ONLY != 0u) {
        return key_at(kv_head, slot);
    }
    return (kv_head * shape.slots + slot) * record();
}

fn scale_in(word: Word, group: u32) -> f32 {
    let both = unpacked(word);
    return select(both.x, both.y, (group & 1u) != 0u);
}

// The scale of a group of the key at `at`.
fn key_scale(at: u32, group: u32) -> f32 {
    if (!SCALED) {
        return 1.0;
    }
    return scale_in(keys[at + 8u * (words() + group / 2u)], group);
}

// Elements 2 pair and 2 pair + 1 of the key at `at`.
fn key_pair(at: u32, pair: u32) -> vec2<f32> {
    return key_scale(at, pair / GROUP) * pair_in(keys[at + 8u * (pair / PER)], pair % PER);
}

// The same of the value at `at`.
fn value_pair(at: u32, pair: u32) -> vec2<f32> {
    if (KEYS_ONLY != 0u) {
        return key_pair(at, pair);
    }
    let v = pair_in(values[at + pair / PER], pair % PER);
    if (!SCALED) {
        return v;
    }
    return scale_in(values[at + words() + pair / (2u * GROUP)], pair / GROUP) * v;
}

// The slot of a position, from one that may lie up to a ring too far.
fn ring(slot: u32) -> u32 {
    return select(slot, slot - shape.capacity, slot >= shape.capacity);
}

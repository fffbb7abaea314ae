// Stores heads in the cache. Needs shared/cache and WIDTH. HEAD elements wait here, from `base` on.
var<workgroup> head: array<f32, HEAD>;

// Padding is zero.
fn element(base: u32, e: u32) -> f32 {
    return select(0.0, head[base + min(e, 2u * shape.pairs - 1u)], e < 2u * shape.pairs);
}

fn four(base: u32, e: u32) -> vec4<f32> {
    return vec4<f32>(element(base, e), element(base, e + 1u), element(base, e + 2u), element(base, e + 3u));
}

// The scale of a group before it is rounded. Each invocation that needs it finds it by itself.
fn group_scale(base: u32, group: u32) -> f32 {
    var largest = 0.0;
    for (var e = 2u * GROUP * group; e < 2u * GROUP * (group + 1u); e++) {
        let x = element(base, e);
        largest = select(largest, x, abs(x) > abs(largest));
    }
    return scale_of(largest);
}

// Word w of the head as the cache holds it.
fn cache_word(base: u32, w: u32) -> Word {
    if (!SCALED) {
        return packed(vec2<f32>(head[base + 2u * w], head[base + 2u * w + 1u]));
    }
    if (w >= words()) {
        let group = 2u * (w - words());
        return packed(vec2<f32>(group_scale(base, group), group_scale(base, group + 1u)));
    }
    let e = 2u * PER * w;
    let scale = group_scale(base, e / (2u * GROUP));
    return encoded(four(base, e), four(base, e + 4u), select(1.0 / scale, 0.0, scale == 0.0));
}

// A pair of the head as it comes back from the cache.
fn cached_pair(base: u32, pair: u32) -> vec2<f32> {
    let v = pair_in(cache_word(base, pair / PER), pair % PER);
    if (!SCALED) {
        return v;
    }
    return unpacked(packed(vec2<f32>(group_scale(base, pair / GROUP), 0.0))).x * v;
}

fn store_key(lane: u32, base: u32, kv_head: u32, slot: u32) {
    let at = key_at(kv_head, slot);
    for (var w = lane; w < record(); w += WIDTH) {
        keys[at + 8u * w] = cache_word(base, w);
    }
}

fn store_value(lane: u32, base: u32, kv_head: u32, slot: u32) {
    let at = value_at(kv_head, slot);
    for (var w = lane; w < record(); w += WIDTH) {
        values[at + w] = cache_word(base, w);
    }
}

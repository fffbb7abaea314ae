// Four neighbouring words of memory, as they are loaded: at level `wide` as two of 64 bits, for drivers of CPUs that load each
// lane's words one after another.
#ifdef LEVEL_WIDE
alias FourWords = vec2<u64>;
alias FourFloats = vec2<u64>;

fn four_words(w: FourWords) -> vec4<u32> {
    return vec4<u32>(u32(w.x), u32(w.x >> 32u), u32(w.y), u32(w.y >> 32u));
}

fn four_floats(w: FourFloats) -> vec4<f32> {
    return bitcast<vec4<f32>>(four_words(w));
}
#else
alias FourWords = vec4<u32>;
alias FourFloats = vec4<f32>;

fn four_words(w: FourWords) -> vec4<u32> {
    return w;
}

fn four_floats(w: FourFloats) -> vec4<f32> {
    return w;
}
#endif

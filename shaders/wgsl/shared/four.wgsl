// Four neighbouring floats of memory, as they are loaded: at level `texel` as two words of 64 bits, for drivers of CPUs that load
// each lane's words one after another.
#ifdef LEVEL_TEXEL
alias FourFloats = vec2<u64>;

fn four_floats(w: FourFloats) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(u32(w.x), u32(w.x >> 32u), u32(w.y), u32(w.y >> 32u)));
}
#else
alias FourFloats = vec4<f32>;

fn four_floats(w: FourFloats) -> vec4<f32> {
    return w;
}
#endif

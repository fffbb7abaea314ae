// Types with one scale and one offset for a unit. Needs `Unit` with `dm: vec2<f32>`, both.
const HAS_OFFSET: bool = true;
const RAGGED: bool = false;

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return u.dm;
}

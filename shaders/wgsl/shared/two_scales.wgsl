// Types with a scale for each half of a unit and no offset. Needs `Unit` with `d: vec2<f32>`.
const HAS_OFFSET: bool = false;
const RAGGED: bool = false;

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(u.d[half], 0.0);
}

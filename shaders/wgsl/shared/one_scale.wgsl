// Types with one scale for a unit and no offset. Needs `Unit` with `d: f32`.
const HAS_OFFSET: bool = false;
const RAGGED: bool = false;

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(u.d, 0.0);
}

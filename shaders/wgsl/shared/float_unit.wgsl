// Plain numbers, read one eight at a time where they lie; they come in rows of any length.
#import shared/planes
#import shared/ones
const HAS_OFFSET: bool = false;
const RAGGED: bool = true;
struct Unit { tile: u32, unit: u32, r: u32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(tile, unit, r);
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}

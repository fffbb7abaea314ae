// Q1_0: d or -d. A word a unit, whose bit 8 b + k belongs to weight 4 k + b; eight units share a scale word, two d.
#import shared/parts
#import shared/scales
#import shared/bytes
#import shared/one_scale
struct Unit { q: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let d = half_of(scale_at(tile, unit / 8u, 8u, 0u, 1u, r), (unit >> 2u) & 1u);
    return Unit(quarter_quad(tile, unit, r), d);
}

fn signs(q: u32, k: u32) -> vec4<f32> {
    return 2.0 * bytes_of((q >> k) & 0x01010101u) - POWERS;
}

fn eight(u: Unit, i: u32) -> Eight {
    return Eight(signs(u.q, 2u * i), signs(u.q, 2u * i + 1u));
}

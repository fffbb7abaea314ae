// Types whose unit takes less than a word quadruple: two or four units share one.
#import shared/planes

fn half_quad(tile: u32, unit: u32, r: u32) -> vec2<u32> {
    let q = quad((tile * (shape.units / 2u) + unit / 2u) * TILE + r);
    return select(q.xy, q.zw, (unit & 1u) != 0u);
}

fn quarter_quad(tile: u32, unit: u32, r: u32) -> u32 {
    let at = (tile * (shape.units / 4u) + unit / 4u) * TILE + r;
#ifdef LEVEL_TEXEL PLANES_TEXTURE
    return quad(at)[unit & 3u];
#else
    return quants[at][unit & 3u];
#endif
}

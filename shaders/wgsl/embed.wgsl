// out = scale * table[row], eight columns an invocation; rows over y. `row` is that of the token, of the position,
// or of the token's type. A table of several parts has one dispatch for each,
// and tokens of other parts are skipped.
struct Shape {
    // columns; units per row of the planes
    k: u32,
    units: u32,
    // tokens of this part: first, count; its first tile
    first: u32,
    count: u32,
    first_tile: u32,
    out_stride: u32,
    scale: f32,
    // 0: rows are those of tokens, 1: of positions, 2: of types
    by: u32,
    // 1 where rows are those of whole texts
    texts: u32,
    // 1 where out is added to
    accumulate: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
#import shared/texts
#import quant/{TYPE}
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn store(row: u32, column: u32, value: vec4<f32>) {
    for (var c = 0u; c < 4u; c++) {
        if (column + c < shape.k) {
            let at = row * shape.out_stride + column + c;
            out[at] = shape.scale * value[c] + select(0.0, out[at], shape.accumulate != 0u);
        }
    }
}

fn looked_up(row: u32) -> u32 {
    switch shape.by {
        case 0u: {
            return run.tokens[row];
        }
        case 1u: {
            return position(row);
        }
        default: {
            return run.tokens[3u * run.rows + row];
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = 8u * id.x;
    let token = looked_up(id.y) - shape.first;
    if (token >= shape.count || column >= shape.k) {
        return;
    }
    let u = load_unit(shape.first_tile + token / TILE, column / 32u, token % TILE);
    let i = (column / 8u) & 3u;
    let q = eight(u, i);
    let a = affine(u, i >> 1u);
    store(id.y, column, a.x * (q.lo / POWERS) + a.y);
    store(id.y, column + 4u, a.x * (q.hi / POWERS) + a.y);
}

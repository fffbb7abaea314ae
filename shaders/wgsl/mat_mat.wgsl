// out = W x for many rows x (tokens). Each invocation makes 4 matrix rows x 4 tokens in registers, so a weight is decoded
// once for four tokens. A workgroup makes one tile (32 rows) for 4 * GROUPS tokens, whose invocations share cached loads.
#import shared/run
#import shared/linear
override GROUPS: u32 = 16u;

// Sums over some columns: column t of `rows` is token t, its components the four matrix rows; `x` sums token t's inputs.
struct Sums { rows: mat4x4<f32>, x: vec4<f32> }

fn add(a: Sums, b: Sums) -> Sums {
    return Sums(a.rows + b.rows, a.x + b.x);
}

fn dots(w: array<Eight, 4>, lo: vec4<f32>, hi: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        dot(w[0].lo, lo) + dot(w[0].hi, hi),
        dot(w[1].lo, lo) + dot(w[1].hi, hi),
        dot(w[2].lo, lo) + dot(w[2].hi, hi),
        dot(w[3].lo, lo) + dot(w[3].hi, hi),
    );
}

// Columns 8 i to 8 i + 7 of a unit.
fn columns(u: array<Unit, 4>, base: vec4<u32>, unit: u32, i: u32) -> Sums {
    let w = array(eight(u[0], i), eight(u[1], i), eight(u[2], i), eight(u[3], i));
    let at = unit * 8u + 2u * i;
    let l0 = x[base.x + at];
    let h0 = x[base.x + at + 1u];
    let l1 = x[base.y + at];
    let h1 = x[base.y + at + 1u];
    let l2 = x[base.z + at];
    let h2 = x[base.z + at + 1u];
    let l3 = x[base.w + at];
    let h3 = x[base.w + at + 1u];
    let sums = vec4<f32>(dot(l0 + h0, ones()), dot(l1 + h1, ones()), dot(l2 + h2, ones()), dot(l3 + h3, ones()));
    return Sums(mat4x4<f32>(dots(w, l0, h0), dots(w, l1, h1), dots(w, l2, h2), dots(w, l3, h3)), sums);
}

fn ragged(u: array<Unit, 4>, base: vec4<u32>, unit: u32, i: u32) -> Sums {
    let w = array(eight(u[0], i), eight(u[1], i), eight(u[2], i), eight(u[3], i));
    let at = unit * 8u + 2u * i;
    var sums: Sums;
    for (var t = 0u; t < 4u; t++) {
        let lo = inside(base[t], at);
        let hi = inside(base[t], at + 1u);
        sums.rows[t] = dots(w, lo, hi);
        sums.x[t] = dot(lo + hi, ones());
    }
    return sums;
}

// Applies scales and offsets of the four rows to the sums over half a unit.
fn scaled(u: array<Unit, 4>, half: u32, sums: Sums) -> mat4x4<f32> {
    let a = mat4x2<f32>(affine(u[0], half), affine(u[1], half), affine(u[2], half), affine(u[3], half));
    let scale = vec4<f32>(a[0].x, a[1].x, a[2].x, a[3].x);
    var rows = mat4x4<f32>(
        sums.rows[0] * scale, sums.rows[1] * scale, sums.rows[2] * scale, sums.rows[3] * scale);
    if (HAS_OFFSET) {
        let offset = vec4<f32>(a[0].y, a[1].y, a[2].y, a[3].y);
        rows += mat4x4<f32>(offset * sums.x[0], offset * sums.x[1], offset * sums.x[2], offset * sums.x[3]);
    }
    return rows;
}

fn load_rows(tile: u32, unit: u32, lane: u32) -> array<Unit, 4> {
    return array(
        load_unit(tile, unit, lane),
        load_unit(tile, unit, lane + LANES),
        load_unit(tile, unit, lane + 2u * LANES),
        load_unit(tile, unit, lane + 3u * LANES),
    );
}

@compute @workgroup_size(8, GROUPS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let rows = select(run.rows, run.outputs, shape.head != 0u);
    let tile = shape.first_tile + group.x;
    let lane = local.x;
    let token = 4u * (group.y * GROUPS + select(local.y, 0u, GROUPS == 1u));
    // tokens beyond the batch repeat its last and are not stored
    let tokens = min(vec4<u32>(token) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u));
    let base = tokens * shape.x_stride4;
    let full = shape.k / 32u;
    var acc = mat4x4<f32>();
    for (var unit = 0u; unit < full; unit++) {
        let u = load_rows(tile, unit, lane);
        acc += scaled(u, 0u, add(columns(u, base, unit, 0u), columns(u, base, unit, 1u)));
        acc += scaled(u, 1u, add(columns(u, base, unit, 2u), columns(u, base, unit, 3u)));
    }
    for (var unit = full; unit < shape.used_units; unit++) {
        let u = load_rows(tile, unit, lane);
        acc += scaled(u, 0u, add(ragged(u, base, unit, 0u), ragged(u, base, unit, 1u)));
        acc += scaled(u, 1u, add(ragged(u, base, unit, 2u), ragged(u, base, unit, 3u)));
    }
    for (var t = 0u; t < 4u; t++) {
        if (token + t < rows) {
            for (var j = 0u; j < 4u; j++) {
                store(token + t, group.x, j * LANES + lane, acc[t][j]);
            }
        }
    }
}

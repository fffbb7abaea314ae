// out = W x for many rows x (tokens) with matrix units: cooperative matrices of 16 x 16 in f16, summed in f32. A workgroup makes
// two tiles (64 rows) for 64 tokens: all its invocations decode a unit of the weights, then each of its four subgroups
// multiplies 16 rows.
enable f16;
enable wgpu_cooperative_matrix;
#import shared/run
#import shared/linear
#import shared/plain_f16
// invocations of a subgroup
override SUBGROUP: u32 = 32u;
const TILES: u32 = 2u;
const TOKENS: u32 = 64u;
@group(0) @binding(4) var<storage, read> x: array<f16>;
// [row][column] of a unit
var<workgroup> unit_weights: array<f16, 2048>;
// [subgroup][token][row] of what subgroups hand over
var<workgroup> block: array<f32, 1024>;

fn decode(local: u32, tile: u32, unit: u32) {
    for (var i = local; i < 128u; i += 4u * SUBGROUP) {
        let r = i % (TILES * TILE);
        let half = i / (TILES * TILE);
        // a tile beyond the last repeats it and is not stored
        let last = shape.first_tile + (shape.n - 1u) / TILE;
        let u = load_unit(min(tile + r / TILE, last), unit, r % TILE);
        let a = affine(u, half);
        for (var e = 0u; e < 2u; e++) {
            let q = eight(u, 2u * half + e);
            let lo = a.x * (q.lo / POWERS) + a.y;
            let hi = a.x * (q.hi / POWERS) + a.y;
            let at = 32u * r + 16u * half + 8u * e;
            for (var c = 0u; c < 4u; c++) {
                unit_weights[at + c] = f16(lo[c]);
                unit_weights[at + 4u + c] = f16(hi[c]);
            }
        }
    }
}

// Stores what the subgroups made for 16 tokens.
fn store_block(local: u32, tile: u32, token: u32, rows: u32) {
    workgroupBarrier();
    for (var i = local; i < 1024u; i += 4u * SUBGROUP) {
        let r = 16u * (i / 256u) + i % 16u;
        let t = token + i % 256u / 16u;
        if (t < rows) {
            store(t, tile + r / TILE, r % TILE, block[i] / PLAIN_SCALE);
        }
    }
    workgroupBarrier();
}

@compute @workgroup_size(4u * SUBGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let rows = select(run.rows, run.outputs, shape.head != 0u);
    let tile = group.x * TILES;
    let token = group.y * TOKENS;
    let stride = 4u * shape.x_stride4;
    for (var i = local; i < 1024u; i += 4u * SUBGROUP) {
        block[i] = 0.0;
    }
    workgroupBarrier();
    var c0 = coopLoad<coop_mat16x16<f32, C>>(&block[0], 16u);
    var c1 = c0;
    var c2 = c0;
    var c3 = c0;
    for (var unit = 0u; unit < shape.k / 32u; unit++) {
        workgroupBarrier();
        decode(local, shape.first_tile + tile, unit);
        workgroupBarrier();
        for (var s = 0u; s < 32u; s += 16u) {
            let a = coopLoadT<coop_mat16x16<f16, A>>(&unit_weights[512u * subgroup + s], 32u);
            let at = token * stride + 32u * unit + s;
            c0 = coopMultiplyAdd(a, coopLoad<coop_mat16x16<f16, B>>(&x[at], stride), c0);
            c1 = coopMultiplyAdd(a, coopLoad<coop_mat16x16<f16, B>>(&x[at + 16u * stride], stride), c1);
            c2 = coopMultiplyAdd(a, coopLoad<coop_mat16x16<f16, B>>(&x[at + 32u * stride], stride), c2);
            c3 = coopMultiplyAdd(a, coopLoad<coop_mat16x16<f16, B>>(&x[at + 48u * stride], stride), c3);
        }
    }
    coopStore(c0, &block[256u * subgroup], 16u);
    store_block(local, tile, token, rows);
    coopStore(c1, &block[256u * subgroup], 16u);
    store_block(local, tile, token + 16u, rows);
    coopStore(c2, &block[256u * subgroup], 16u);
    store_block(local, tile, token + 32u, rows);
    coopStore(c3, &block[256u * subgroup], 16u);
    store_block(local, tile, token + 48u, rows);
}

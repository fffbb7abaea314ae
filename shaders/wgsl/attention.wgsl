// out = softmax(scale q·K) V over the positions that a row may see, for four queries per workgroup: up to HEADS heads of one
// key/value head (over x) by ROWS rows (over y), so that a key or value is loaded once for the four.
// HEADS * ROWS is at most 4
override HEADS: u32 = 4u;
override ROWS: u32 = 1u;
#import shared/heads
#import shared/run
#import shared/cache
#import shared/attend
#import shared/visible
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<Word>;
@group(0) @binding(4) var<storage, read> values: array<Word>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read> arena: array<f32>;
#import shared/sinks

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let per_kv = shape.heads / shape.kv_heads;
    let chunks = (per_kv + HEADS - 1u) / HEADS;
    let kv_head = group.x / chunks;
    let first_head = kv_head * per_kv + HEADS * (group.x % chunks);
    let first_row = group.y * ROWS;
    // heads and rows beyond the last repeat it and are not stored
    let c = vec4<u32>(0u, 1u, 2u, 3u);
    let heads = vec4<u32>(first_head) + c % HEADS;
    let rows = vec4<u32>(first_row) + c / HEADS;
    let head = min(heads, vec4<u32>((kv_head + 1u) * per_kv - 1u));
    let row = min(rows, vec4<u32>(run.rows - 1u));
    let dim = 2u * PAIRS;
    let from_q = row * shape.qkv_stride + head * dim;
    for (var e = lane; e < dim; e += WIDTH) {
        query[e] = vec4<f32>(qkv[from_q.x + e], qkv[from_q.y + e], qkv[from_q.z + e], qkv[from_q.w + e]);
        acc[e] = vec4<f32>(0.0);
    }
    workgroupBarrier();
    let x = visible(row.x);
    let y = visible(row.y);
    let z = visible(row.z);
    let w = visible(row.w);
    let seen = Seen(vec4<u32>(x.x, y.x, z.x, w.x), vec4<u32>(x.y, y.y, z.y, w.y), row + run.pos);
    for_heads(head);
    let last = max(max(x.y, y.y), max(z.y, w.y));
    let nothing = Softmax(vec4<f32>(LOWEST), vec4<f32>(0.0));
    let softmax = attend(lane, kv_head, seen.first.x, last, seen, nothing);
    let l = sum_of_all(lane, softmax.l);
    for (var i = 0u; i < HEADS * ROWS; i++) {
        if (heads[i] == head[i] && rows[i] == row[i]) {
            let sum = l[i] + sink(head[i], softmax.m[i]);
            for (var e = lane; e < dim; e += WIDTH) {
                out[row[i] * shape.out_stride + head[i] * dim + e] = acc[e][i] / sum;
            }
        }
    }
}

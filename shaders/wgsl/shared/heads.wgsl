// What the attention kernels of many rows know of their layer.
struct Shape {
    heads: u32,
    kv_heads: u32,
    // head_dim / 2
    pairs: u32,
    qkv_stride: u32,
    out_stride: u32,
    capacity: u32,
    slots: u32,
    // positions a row sees, itself included; 0 for all
    window: u32,
    // 1: a row sees itself and those before it; 0: those at most window / 2 away; 2: all that the encoder has read
    mask: u32,
    // 1 where rows are those of whole texts
    texts: u32,
    scale: f32,
    softcap: f32,
    alibi: f32,
    sinks: u32,
    relative: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;

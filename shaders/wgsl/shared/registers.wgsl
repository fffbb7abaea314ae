// States that one invocation keeps in registers: as many as `gpu/calls/recurrent.rs` says.
const SLICE: u32 = 16u;

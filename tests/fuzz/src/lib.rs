//! The fuzz targets as libFuzzer runs them. What they do lies in `gabion-tests`, whose tests replay inputs without a fuzzer.

#[path = "../../src/alloc.rs"]
pub mod alloc;
#[path = "../../src/fuzz/targets.rs"]
pub mod targets;

#[global_allocator]
static ALLOC: alloc::Counting = alloc::Counting;

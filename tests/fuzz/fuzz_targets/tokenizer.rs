//! libFuzzer's way into `targets::tokenizer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gabion_fuzz::targets::tokenizer(data);
});

//! Malformed and odd headers, each with what a reader must say. Names begin with the defect of another reader that the
//! case stands for (spec "gguf format", section 2), where there is one.

use super::raw::{Raw, array, kind, string, ty};

/// A file and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// The variant of `GgufError` it must give; empty for a sound file.
    pub error: &'static str,
    /// A part of the message.
    pub says: &'static str,
}

fn case(name: &'static str, raw: Raw, error: &'static str, says: &'static str) -> Case {
    Case { name, bytes: raw.bytes(), error, says }
}

/// Every case.
pub fn headers() -> Vec<Case> {
    [preamble(), counts(), keys(), values(), alignment(), names(), shapes(), places(), sound()].concat()
}

fn new() -> Raw {
    Raw::new()
}

fn preamble() -> Vec<Case> {
    let short = |name, bytes: &[u8], says| Case { name, bytes: bytes.to_vec(), error: "Truncated", says };
    vec![
        short("empty file", b"", "magic"),
        short("CVE-2025-0317: 4-byte file", b"GGUF", "version"),
        short("counts cut off", b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0", "key count"),
        Case { name: "two wrong bytes", bytes: b"PK".to_vec(), error: "Magic", says: "GGUF" },
        case("bad magic", new().magic(b"FUGG"), "Magic", "GGUF"),
        case("version 0", new().version(0), "Version", "version 0"),
        case("version 1", new().version(1), "Version", "version 1"),
        case("version 4", new().version(4), "Version", "version 4"),
        case("version -1", new().version(u32::MAX), "Version", "not supported"),
        case("big-endian version 3", new().version(3 << 24), "WrongEndian", "big-endian"),
        case("big-endian version 2", new().version(2 << 24), "WrongEndian", "big-endian"),
        // version 1 stored u32 counts: refused by its number, before they are misread
        Case {
            name: "version 1 layout",
            bytes: b"GGUF\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
            error: "Version",
            says: "1",
        },
    ]
}

fn counts() -> Vec<Case> {
    let half = 1 << 63;
    vec![
        case("CVE-2024-23496: tensor count 2^64-1", new().n_tensors(u64::MAX), "Limit", "tensor count"),
        case("CVE-2024-23605: key count 2^64-1", new().n_kv(u64::MAX), "Limit", "key count"),
        case("negative counts", new().n_kv(half).n_tensors(half), "Limit", "count"),
        case("tensor count of a 32-bit wrap", new().n_tensors(1 << 32), "Limit", "tensor count"),
        case("ollama-17042: huge counts", new().n_kv(1 << 40).n_tensors(1 << 40), "Limit", "key count"),
        case("one tensor more than there are", tensor(&[32], kind::I8).n_tensors(2).data(32), "Limit", "name length"),
        case("one key more than there are", new().alignment(32).n_kv(2), "Truncated", "key"),
    ]
}

fn keys() -> Vec<Case> {
    let one = 1u32.to_le_bytes();
    let long = |n: usize| new().kv(&vec![b'k'; n], ty::U32, &one);
    vec![
        case("CVE-2024-21825: key length 2^64-1", new().raw_kv(&[0xff; 20]), "Limit", "key length"),
        case(
            "key length past the end",
            new().raw_kv(&[200, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]),
            "Truncated",
            "key",
        ),
        case("key of 65536 bytes", long(65536), "Limit", "key length"),
        case("llama.cpp-24917: empty key", new().kv(b"", ty::U32, &one), "Key", "empty"),
        case("key that is not UTF-8", new().kv(b"a\xff\xfe", ty::U32, &one), "Key", "UTF-8"),
        case("the same key twice", new().kv(b"a", ty::U32, &one).kv(b"a", ty::U32, &one), "Key", "twice"),
        case("the same key twice, other type", new().kv(b"a", ty::U32, &one).kv(b"a", ty::BOOL, &[1]), "Key", "twice"),
        case("value type 13", new().kv(b"a", 13, &one), "Key", "value type 13"),
        case("value type -1", new().kv(b"a", u32::MAX, &one), "Key", "value type"),
        case("value cut off", new().kv(b"a", ty::U64, &one), "Truncated", "a"),
    ]
}

fn values() -> Vec<Case> {
    let text = |len: u64| new().kv(b"s", ty::STRING, &len.to_le_bytes());
    let list = |element, len, rest: &[u8]| new().kv(b"l", ty::ARRAY, &[&array(element, len), rest].concat());
    let three = [string(b"ab"), string(b""), (1u64 << 40).to_le_bytes().to_vec()].concat();
    vec![
        case("CVE-2024-23496: string length 2^64-1", text(u64::MAX), "Limit", "string length"),
        case("ggml-1516: string of 2^30", text(1 << 30), "Truncated", "string"),
        case("ggml-1516: string of 2^30 and one", text((1 << 30) + 1), "Limit", "string length"),
        case("bool 2", new().kv(b"b", ty::BOOL, &[2]), "Key", "2 is not a bool"),
        case("CVE-2024-21836: array length 2^64-1", list(ty::U8, u64::MAX, &[]), "Limit", "array length of 'l'"),
        case("gguf-py-27188: array length 2^63", list(ty::U32, 1 << 63, &[]), "Limit", "array length"),
        case("array of 2^30 bytes", list(ty::U8, 1 << 30, &[0; 64]), "Limit", "array length"),
        case("array of 2^61 u64: bytes wrap", list(ty::U64, 1 << 61, &[0; 64]), "Limit", "array length"),
        case("ollama-17042: 2^30 strings", list(ty::STRING, 1 << 30, &[0; 64]), "Limit", "array length"),
        case("array one element short", list(ty::U32, 3, &[0; 8]), "Limit", "array length"),
        case("array of strings, the third too long", list(ty::STRING, 3, &three), "Limit", "string length"),
        case("array of bools with a 7", list(ty::BOOL, 3, &[0, 1, 7]), "Key", "7 is not a bool"),
        case("array of unknown type", list(13, 1, &[0; 8]), "Key", "value type 13"),
        case("array of arrays", list(ty::ARRAY, 1, &array(ty::U8, 0)), "Key", "array of arrays"),
        case("endless arrays of arrays", list(ty::ARRAY, 1, &[9, 0, 0, 0].repeat(1000)), "Key", "array of arrays"),
    ]
}

fn alignment() -> Vec<Case> {
    let other = |ty, value: &[u8]| new().kv(b"general.alignment", ty, value).tensor(b"t", &[32], kind::I8, 0).data(32);
    let value = |alignment| new().alignment(alignment).tensor(b"t", &[32], kind::I8, 0).data(32);
    vec![
        case("alignment 13", value(13), "Key", "power of two"),
        case("CVE-2025-0312: alignment 0", value(0), "Key", "power of two"),
        case("alignment 1", value(1), "Key", "power of two"),
        case("alignment 4", value(4), "Key", "power of two"),
        case("ggml-1516: alignment 2^30", value(1 << 30), "Key", "power of two"),
        case("alignment 2^31", other(ty::U32, &(1u32 << 31).to_le_bytes()), "Key", "power of two"),
        case("d8a8beac2: alignment as a string", other(ty::STRING, &string(b"32")), "Key", "is not a u32"),
        case("alignment as i32", other(ty::I32, &32u32.to_le_bytes()), "Key", "is not a u32"),
        case("alignment as u64", other(ty::U64, &32u64.to_le_bytes()), "Key", "is not a u32"),
        case("alignment as an array", other(ty::ARRAY, &array(ty::U32, 0)), "Key", "is not a u32"),
    ]
}

fn names() -> Vec<Case> {
    let name = |name: &[u8]| new().tensor(name, &[32], kind::I8, 0).data(32);
    let twice = new().tensor(b"t", &[32], kind::I8, 0).tensor(b"t", &[32], kind::I8, 32).data(64);
    vec![
        case("tensor name length 2^64-1", new().raw_tensor(&[0xff; 32]), "Limit", "tensor name length"),
        case("tensor name of 64 bytes", name(&[b'n'; 64]), "Limit", "tensor name length"),
        case("empty tensor name", name(b""), "Tensor", "empty"),
        case("tensor name that is not UTF-8", name(b"\xc3"), "Tensor", "UTF-8"),
        case("the same tensor name twice", twice, "Tensor", "twice"),
    ]
}

/// One tensor at offset 0, without data.
fn tensor(dims: &[u64], kind: u32) -> Raw {
    new().tensor(b"t", dims, kind, 0)
}

fn shapes() -> Vec<Case> {
    let max = i64::MAX as u64;
    let claims = |n| new().tensor_dims(b"t", n, &[1; 5], kind::I8, 0).data(32);
    vec![
        case("CVE-2024-21802: 5 dimensions", claims(5), "Tensor", "5 dimensions"),
        case("gguf-py-25378: 10^6 dimensions", claims(1_000_000), "Tensor", "1000000 dimensions"),
        case("mlx-4213: 2^32-1 dimensions", claims(u32::MAX), "Tensor", "dimensions"),
        case("negative dimension", tensor(&[u64::MAX], kind::I8), "Tensor", "overflows"),
        case("llama.cpp-27203: product wraps negative", tensor(&[max, 2, 1, 1], kind::I8), "Tensor", "overflows"),
        case("product of 2^64 elements", tensor(&[1 << 32, 1 << 32], kind::I8), "Tensor", "overflows"),
        case(
            "gguf-py-25401: product wraps to 0",
            tensor(&[1 << 32, 1 << 32, 1 << 32], kind::I8),
            "Tensor",
            "overflows",
        ),
        case("overflow before a zero", tensor(&[max, max, 0], kind::I8), "Tensor", "overflows"),
        case("CVE-2024-21802: elements fit, bytes wrap", tensor(&[1 << 62], kind::F32), "Tensor", "overflows"),
        case("CVE-2026-33298: bytes wrap to 4 MiB", tensor(&[(1 << 62) + (1 << 20)], kind::F32), "Tensor", "overflows"),
        case("bytes past i64", tensor(&[1 << 61], kind::F32), "Tensor", "overflows"),
        case("row of part of a block", tensor(&[33, 2], kind::Q4_0).data(64), "Tensor", "whole blocks"),
    ]
}

fn places() -> Vec<Case> {
    let at = |offset| new().tensor(b"t", &[64], kind::I8, offset).data(64);
    let pair = |first: u64, second: u64, n: u64| {
        new().tensor(b"a", &[n], kind::I8, first).tensor(b"b", &[n], kind::I8, second).data(256)
    };
    let huge = 0x7fff_ffff_ffff_ffc0;
    vec![
        case("CVE-2026-7482: data one byte short", at(0).data(63), "Tensor", "past the end"),
        case("CVE-2026-7482: no data at all", at(0).data(0), "Tensor", "past the end"),
        case("CVE-2026-7482: offset past the end", at(1 << 20), "Tensor", "past the end"),
        case("misaligned offset", at(8), "Tensor", "not aligned"),
        case("offset 2^64-32: end wraps", at(u64::MAX - 31), "Tensor", "overflows"),
        case("offset 2^63: end is negative", at(1 << 63), "Tensor", "overflows"),
        case("CVE-2025-53630: sum of sizes wraps", pair(0, huge, huge), "Tensor", "overflows"),
        case("CVE-2026-27940: header and sizes wrap", pair(0, huge - 64, huge), "Tensor", "overflows"),
        case("largest tensor that is no overflow", pair(0, 1 << 61, 1 << 61), "Tensor", "past the end"),
        case("two tensors in one place", pair(0, 0, 64), "Tensor", "overlaps tensor"),
        case("tensors overlap by one block", pair(0, 32, 64), "Tensor", "overlaps tensor"),
        case("later tensor lies before and overlaps", pair(32, 0, 64), "Tensor", "overlaps tensor"),
        case("offset follows another alignment", pair(0, 32, 32).alignment(64), "Tensor", "not aligned to 64"),
    ]
}

fn sound() -> Vec<Case> {
    let ok = |name, raw| case(name, raw, "", "");
    let one = 1u32.to_le_bytes();
    let pair = |first, second| new().tensor(b"a", &[64], kind::I8, first).tensor(b"b", &[64], kind::I8, second);
    vec![
        ok("nothing in it", new()),
        ok("version 2", pair(0, 64).version(2).data(128)),
        ok("key of 65535 bytes", new().kv(&[b'k'; 65535], ty::U32, &one)),
        ok("string that is not UTF-8", new().kv(b"s", ty::STRING, &string(b"\xff\0\xfe"))),
        ok("empty array", new().kv(b"l", ty::ARRAY, &array(ty::STRING, 0))),
        ok("tensor name of 63 bytes", new().tensor(&[b'n'; 63], &[32], kind::I8, 0).data(32)),
        ok("no dimensions: one element", tensor(&[], kind::I8).data(1)),
        ok("d8a8beac2: dimension 0", tensor(&[32, 0], kind::I8)),
        ok("dimension 0 beside a huge one", tensor(&[0, 1 << 40], kind::I8)),
        ok("tensors without bytes share a place", tensor(&[0], kind::I8).tensor(b"u", &[0], kind::I8, 0)),
        ok("unknown tensor type", tensor(&[32], 999)),
        ok("removed tensor type", tensor(&[32], 4)),
        ok("negative tensor type", tensor(&[32], u32::MAX)),
        ok("gap between tensors", pair(0, 128).data(192)),
        ok("tensors in another order", pair(64, 0).data(128)),
        ok("alignment 64", pair(0, 64).alignment(64).data(128)),
        ok("alignment 8", pair(0, 64).alignment(8).data(128)),
        ok("alignment 2^20", pair(0, 1 << 20).alignment(1 << 20).data((1 << 20) + 64)),
    ]
}

//! Models that lie: sound containers whose keys and tensors contradict each other or the program's limits. Names begin
//! with the defect of another reader that the case stands for, where there is one.

use gabion::gguf::Owned::{self, Bool, F32, F64, I32, I32s, Strings, U32, U32s, U64};
use gabion::quant::TensorType;

use super::Case;
use crate::toy::{self, N_EMBD, N_VOCAB, Toy};

fn case(name: &'static str, toy: Toy, error: &'static str, says: &'static str) -> Case {
    Case { name, bytes: toy.bytes(), error, says }
}

/// Every case. `error` is a variant of `gabion::Error`; where it is empty, the model loads.
pub fn models() -> Vec<Case> {
    [
        layers(),
        widths(),
        heads(),
        hybrids(),
        ropes(),
        other_keys(),
        tensors(),
        vocabulary(),
        merges(),
        templates(),
        odd(),
    ]
    .concat()
}

fn text(value: &str) -> Owned {
    Owned::String(value.into())
}

fn key(name: &'static str, key: &str, value: Owned, error: &'static str, says: &'static str) -> Case {
    case(name, toy::llama().set(key, value), error, says)
}

fn without(name: &'static str, key: &str, says: &'static str) -> Case {
    case(name, toy::llama().without_key(key), "Model", says)
}

fn layers() -> Vec<Case> {
    let count = |name, value, says| key(name, "block_count", value, "Model", says);
    let typed = |name, value| key(name, "block_count", value, "Gguf", "block_count");
    vec![
        count("GO-2025-3557: no layers", U32(0), "block_count: 0 is not in"),
        count("llama.cpp-25821: 513 layers", U32(513), "513 is not in 1..=512"),
        count("acestep-98: 2^32-1 layers", U32(u32::MAX), "is not in 1..=512"),
        count("a layer more than there is", U32(3), "tensor 'blk.2."),
        count("512 layers, of which two are there", U32(512), "tensor 'blk.2."),
        count("layers as u64", U64(2 << 20), "is not in"),
        typed("layers as 2^32 + 2", U64((1 << 32) + 2)),
        typed("layers: -1", I32(-1)),
        typed("layers as text", text("2")),
        typed("layers as a float", F32(2.0)),
        without("layers missing", "block_count", "block_count: is missing"),
        key("GHSA-645x: more predicted layers than layers", "nextn_predict_layers", U32(9), "Model", "9 of 2 blocks"),
        case("no architecture", toy::llama().without_key("general.architecture"), "Model", "general.architecture"),
        key("unknown architecture", "general.architecture", text("mamba9"), "Unsupported", "'mamba9'"),
        key("architecture as a number", "general.architecture", U32(1), "Gguf", "general.architecture"),
        key("experts without tensors", "expert_count", U32(8), "Model", "no layer has experts"),
        case("keys of nobody", gemma4("attention.shared_kv_layers", 1), "Model", "layer 2 has nobody"),
        case("keys of nobody at all", gemma4("attention.shared_kv_layers", 3), "Model", "3 of 3 layers"),
        case("more shared layers than layers", gemma4("attention.shared_kv_layers", u32::MAX), "Model", "of 3 layers"),
        case("experts of Gemma 4", gemma4("expert_count", 4), "Unsupported", "experts beside"),
        case("a share of 2^20 columns", gemma4("embedding_length_per_layer_input", 1 << 20), "Model", "inp_gate"),
        case("local heads of 15", gemma4("attention.key_length_swa", 15), "Model", "15 dimensions cannot be rotated"),
        case("latent attention as old files have it", toy::llama().renamed("deepseek2"), "Unsupported", "absorbed"),
    ]
}

fn gemma4(key: &str, value: u32) -> Toy {
    toy::gemma3().renamed("gemma4").set(key, U32(value))
}

fn widths() -> Vec<Case> {
    let width = |name, value, says| key(name, "embedding_length", U32(value), "Model", says);
    let ff = |name, value: Owned, says| key(name, "feed_forward_length", value, "Model", says);
    vec![
        width("width 0", 0, "0 is not in"),
        width("width 2^32-1", u32::MAX, "is not in"),
        width("width of another model", 64, "wanted [64"),
        width("width 1", 1, "wanted [1"),
        without("width missing", "embedding_length", "embedding_length: is missing"),
        ff("feed-forward width 0", U32(0), "0 is not in"),
        ff("feed-forward width of another model", U32(96), "ffn_gate"),
        ff("feed-forward widths for one layer only", U32s(vec![64]), "1 entries for 2 layers"),
        ff("feed-forward widths of which one is 0", U32s(vec![64, 0]), "0 is not in"),
        ff("feed-forward widths of which one is negative", I32s(vec![64, -1]), "not an array of u32"),
        ff("feed-forward widths as words", Strings(vec!["64".into(), "64".into()]), "not an array of u32"),
        key("context 0", "context_length", U32(0), "Model", "context_length: 0"),
        key("context 2^32-1", "context_length", U32(u32::MAX), "Model", "context_length"),
        without("context missing", "context_length", "context_length: is missing"),
    ]
}

fn heads() -> Vec<Case> {
    let heads = |name, value, says| key(name, "attention.head_count", value, "Model", says);
    let kv = |name, value, says| key(name, "attention.head_count_kv", value, "Model", says);
    let free = || toy::llama().without_key("key_length").without_key("value_length").without_key("dimension_count");
    let odd = ["attention.key_length", "attention.value_length", "rope.dimension_count"];
    let odd = odd.into_iter().fold(toy::llama(), |toy, key| toy.set(key, U32(15)));
    let dim = |name, value, says| key(name, "attention.key_length", U32(value), "Model", says);
    vec![
        heads("no heads", U32(0), "0 is not in"),
        heads("2^32-1 heads", U32(u32::MAX), "is not in"),
        heads("2^20 heads", U32(1 << 20), "too wide"),
        heads("heads that the key heads do not divide", U32(5), "does not divide 5"),
        heads("heads of another model", U32(8), "attn_q"),
        heads("heads for one layer only", U32s(vec![4]), "1 entries"),
        heads("heads of which one is 0", U32s(vec![4, 0]), "0 is not in"),
        case("more heads than width", free().set("attention.head_count", U32(64)), "Model", "64 does not divide 32"),
        case(
            "heads that do not divide the width",
            free().set("attention.head_count", U32(6)),
            "Model",
            "6 does not divide",
        ),
        kv("no key heads", U32(0), "0 is not in"),
        kv("more key heads than heads", U32(8), "8 does not divide 4"),
        kv("key heads that do not divide", U32(3), "3 does not divide 4"),
        dim("heads of size 0", 0, "0 is not in"),
        case("heads of odd size", odd, "Model", "15 dimensions cannot be rotated"),
        dim("heads of size 2^20", 1 << 20, "too wide"),
        key("values of another size", "attention.value_length", U32(8), "Unsupported", "value heads"),
        key("CVE-2026-21869: negative size", "attention.key_length", I32(-16), "Gguf", "key_length"),
    ]
}

fn hybrids() -> Vec<Case> {
    let model = |name, key, value, says| case(name, toy::qwen35().set(key, value), "Model", says);
    let mamba = |arch: &str| {
        let sizes = ["attention.head_count", "feed_forward_length"];
        let toy = sizes.iter().fold(toy::qwen35().renamed(arch), |toy, key| toy.set(key, U32(0)));
        toy.without_key("head_count_kv")
            .without_key("dimension_count")
            .without_key("key_length")
            .without_key("value_length")
    };
    let rwkv = |name, key, value, kind, says| {
        let ranks = ["decay", "iclr", "value_residual_mix", "gate"].map(|rank| format!("attention.{rank}_lora_rank"));
        let toy = ranks.iter().fold(mamba("rwkv7"), |toy, key| toy.set(key, U32(4)));
        case(name, toy.set("wkv.head_size", U32(8)).set(key, U32(value)), kind, says)
    };
    vec![
        model("an interval of 0 layers", "full_attention_interval", U32(0), "0 is not in"),
        model("an interval of another model", "full_attention_interval", U32(3), "tensor 'blk.1."),
        model("a convolution over nothing", "ssm.conv_kernel", U32(0), "0 is not in 1..=256"),
        model("a convolution over 2^20 rows", "ssm.conv_kernel", U32(1 << 20), "is not in 1..=256"),
        model("a convolution of another model", "ssm.conv_kernel", U32(3), "ssm_conv1d"),
        model("2^20 times 2^20 keys", "ssm.group_count", U32(1 << 20), "1048576 key heads"),
        model("keys of size 0", "ssm.state_size", U32(0), "0 is not in"),
        model("2^20 keys of each head", "ssm.state_size", U32(1 << 20), "too wide"),
        model("no value heads", "ssm.time_step_rank", U32(0), "0 is not in"),
        model("value heads that keys do not divide", "ssm.time_step_rank", U32(3), "3 heads, 2 key heads"),
        model("value heads that do not divide the layer", "ssm.inner_size", U32(50), "50 units of 4 heads"),
        model("a layer of 2^32-1 units", "ssm.inner_size", U32(u32::MAX), "is not in"),
        model("no heads where there is attention", "attention.head_count", U32(0), "0 is not in"),
        case(
            "LFM2 without heads",
            toy::qwen35().renamed("lfm2").set("attention.head_count", U32(0)),
            "Model",
            "no heads",
        ),
        case(
            "Mamba without its sizes",
            mamba("mamba").without_key("inner_size"),
            "Model",
            "ssm.inner_size: is missing",
        ),
        case("Mamba of other tensors", mamba("mamba"), "Model", "tensor 'blk.0.ssm_x.weight' is missing"),
        case("norms of steps", mamba("mamba").set("ssm.dt_b_c_rms", Bool(true)), "Unsupported", "norms of steps"),
        rwkv("RWKV with heads of size 0", "wkv.head_size", 0, "Model", "0 is not in"),
        rwkv("RWKV with heads that do not divide it", "wkv.head_size", 7, "Model", "heads of 7"),
        rwkv("RWKV with heads of size 2^20", "wkv.head_size", 1 << 20, "Model", "heads of 1048576"),
        rwkv("RWKV with one shift a block", "token_shift_count", 1, "Unsupported", "1 shifts of a block"),
        rwkv("RWKV of other tensors", "wkv.head_size", 8, "Model", "tensor 'blk.0.time_mix_"),
        case("Mamba 2 in 3 groups", mamba("mamba2").set("ssm.group_count", U32(3)), "Model", "3 groups"),
    ]
}

fn ropes() -> Vec<Case> {
    let model = |name, toy, says| case(name, toy, "Model", says);
    let set = |key, value| toy::llama().set(key, value);
    let scaled = |kind: &str, factor| set("rope.scaling.type", text(kind)).set("rope.scaling.factor", F32(factor));
    vec![
        model("rope over 0 dimensions", set("rope.dimension_count", U32(0)), "0 is not in"),
        model("rope over odd dimensions", set("rope.dimension_count", U32(7)), "cannot be rotated"),
        model("rope over more than a head", set("rope.dimension_count", U32(32)), "cannot be rotated"),
        model("rope base 0", set("rope.freq_base", F32(0.0)), "not positive"),
        model("rope base NaN", set("rope.freq_base", F32(f32::NAN)), "not finite"),
        model("rope base infinite as f64", set("rope.freq_base", F64(1e300)), "not finite"),
        model("rope base next to 0", scaled("linear", 1e-6).set("rope.freq_base", F32(1e-38)), "not finite"),
        model("rope scaling of -1", scaled("linear", -1.0), "negative"),
        model("rope scaling next to 0", scaled("linear", 1e-45), "not finite"),
        model("YaRN next to 0", scaled("yarn", 1e-45), "not finite"),
        model(
            "YaRN over context 0",
            scaled("yarn", 4.0).set("rope.scaling.original_context_length", U32(0)),
            "0 is not",
        ),
        case("unknown rope scaling", scaled("spiral", 4.0), "Unsupported", "'spiral'"),
        model(
            "rope factors of another size",
            toy::llama().tensor("rope_freqs.weight", TensorType::F32, &[3]),
            "rope_freqs",
        ),
    ]
}

fn other_keys() -> Vec<Case> {
    let eps = |name, value| key(name, "attention.layer_norm_rms_epsilon", F32(value), "Model", "epsilon");
    let gemma = |name, key: &str, value, says| case(name, toy::gemma3().set(key, value), "Model", says);
    vec![
        eps("epsilon 0", 0.0),
        eps("epsilon -1", -1.0),
        eps("epsilon NaN", f32::NAN),
        key("epsilon as text", "attention.layer_norm_rms_epsilon", text("1e-5"), "Gguf", "epsilon"),
        key("softcap NaN", "final_logit_softcapping", F32(f32::NAN), "Model", "softcapping"),
        key("attention scale infinite", "attention.scale", F32(f32::INFINITY), "Model", "scale"),
        gemma("window too wide", "attention.sliding_window", U32(u32::MAX), "is not in"),
        gemma("local rope base -1", "rope.freq_base_swa", F32(-1.0), "not positive"),
        key("65535 files", "split.count", Owned::U16(65535), "Gguf", "split.count"),
        key("two files, one given", "split.count", Owned::U16(2), "Gguf", "2 files, 1 were given"),
        key("not the first file", "split.count", I32(-2), "Gguf", "split.count"),
    ]
}

fn tensors() -> Vec<Case> {
    let model = |name, toy, says| case(name, toy, "Model", says);
    let typed = |name, ty, says| case(name, toy::llama().tensor("blk.1.attn_k.weight", ty, &[256, 32]), "Model", says);
    let square = |ty| toy::llama().tensor("blk.0.ffn_up.weight", ty, &[N_EMBD, 64]);
    let bias = |dims: &[u64]| toy::llama().tensor("blk.0.attn_q.bias", TensorType::F32, dims);
    let embd = |dims: &[u64]| toy::llama().tensor("token_embd.weight", TensorType::F32, dims);
    vec![
        typed("row of another width", TensorType::Q4_K, "attn_k.weight"),
        case("weights as integers", square(TensorType::I32), "Unsupported", "I32"),
        case("weights as f64", square(TensorType::F64), "Unsupported", "F64"),
        case("weights in a type of activations", square(TensorType::Q8_1), "Unsupported", "Q8_1"),
        case(
            "norm as integers",
            toy::llama().tensor("output_norm.weight", TensorType::I16, &[32]),
            "Unsupported",
            "I16",
        ),
        model("bias of another size", bias(&[32]), "attn_q.bias"),
        model("bias that is a matrix", bias(&[64, 64]), "attn_q.bias"),
        case(
            "a tensor that nobody reads",
            toy::llama().tensor("blk.7.more", TensorType::I64, &[3]),
            "Unsupported",
            "blk.7.more",
        ),
        model("embedding without rows", embd(&[N_EMBD, 0]), "token_embd"),
        model(
            "more tokens than rows",
            embd(&[N_EMBD, 100]).without_tensor("output.weight"),
            "264 tokens, 'token_embd.weight' has 100",
        ),
        model("embedding that is a vector", embd(&[N_EMBD]), "output.weight"),
        model("vocabulary larger than the embedding", embd(&[N_EMBD, 100]), "output.weight"),
        model("embedding in three dimensions", embd(&[N_EMBD, N_VOCAB, 2]), "token_embd"),
        model("embedding of another width", embd(&[64, N_VOCAB]), "token_embd"),
        case(
            "fused attention of another size",
            toy::llama().tensor("blk.0.attn_qkv.weight", TensorType::F32, &[32, 96]),
            "Model",
            "qkv",
        ),
    ]
}

/// A vocabulary key of the toy replaced.
fn vocab(name: &'static str, at: &str, value: Owned, says: &'static str) -> Case {
    key(name, &format!("tokenizer.ggml.{at}"), value, "Tokenizer", says)
}

fn words(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("w{i}")).collect()
}

/// A SentencePiece vocabulary instead of the toy's own.
fn spm(tokens: &[&str], types: Vec<i32>) -> Toy {
    let scores = vec![0.0; tokens.len()];
    let list = tokens.iter().map(|t| t.to_string()).collect();
    toy::llama()
        .without_tokenizer()
        .set("tokenizer.ggml.model", text("llama"))
        .set("tokenizer.ggml.tokens", Strings(list))
        .set("tokenizer.ggml.scores", Owned::F32s(scores))
        .set("tokenizer.ggml.token_type", I32s(types))
}

fn vocabulary() -> Vec<Case> {
    let n = N_VOCAB as usize;
    let same = |i| if i > 200 { "same".to_owned() } else { format!("w{i}") };
    let bytes =
        |name, token: &'static str| case(name, spm(&["<unk>", token], vec![2, 6]), "Tokenizer", "two hex digits");
    let short = spm(&["<unk>", "a", "b"], vec![2, 1, 1]).set("tokenizer.ggml.scores", Owned::F32s(vec![0.0; 2]));
    let nan = spm(&["<unk>", "a"], vec![2, 1]).set("tokenizer.ggml.scores", Owned::F32s(vec![0.0, f32::NAN]));
    vec![
        vocab("unknown tokenizer", "model", text("abacus"), "'abacus'"),
        key("tokenizer of a later version", "tokenizer.ggml.model", text("plamo2"), "Unsupported", "'plamo2'"),
        vocab("unknown pre-tokenizer", "pre", text("nobody"), "'nobody'"),
        vocab("no tokens", "tokens", Strings(vec![]), "0 tokens"),
        key("tokens as numbers", "tokenizer.ggml.tokens", U32s(vec![1; n]), "Gguf", "tokens"),
        vocab("tokens of one text", "tokens", Strings((0..n).map(same).collect()), "same text"),
        vocab("fewer types than tokens", "token_type", I32s(vec![1; 5]), "5 entries"),
        vocab("unknown token type", "token_type", I32s(vec![9; n]), "unknown type"),
        vocab("negative token type", "token_type", I32s(vec![-1; n]), "unknown type"),
        vocab("llama.cpp-26051: end token past the vocabulary", "eos_token_id", U32(264), "264"),
        vocab("end token 2^32-1", "eos_token_id", U32(u32::MAX), "the vocabulary has"),
        key("end token -1", "tokenizer.ggml.eos_token_id", I32(-1), "Gguf", "eos_token_id"),
        vocab("begin token past the vocabulary", "bos_token_id", U32(1 << 30), "the vocabulary has"),
        bytes("llama.cpp-25969: byte token <0x-1>", "<0x-1>"),
        bytes("llama.cpp-25969: byte token <0xZZ>", "<0xZZ>"),
        bytes("byte token without a digit", "<0x>"),
        bytes("byte token of three digits", "<0x100>"),
        case("fewer scores than tokens", short, "Tokenizer", "scores"),
        case("a score is NaN", nan, "Tokenizer", "score"),
        vocab("more tokens than the embedding has rows", "tokens", Strings(words(n + 1)), "entries"),
    ]
}

fn merges() -> Vec<Case> {
    let list = |name, lines: &[&str], says| {
        vocab(name, "merges", Strings(lines.iter().map(|line| line.to_string()).collect()), says)
    };
    vec![
        case("no merges", toy::llama().without_key("merges"), "Tokenizer", "merges"),
        list("merge without a space", &["th"], "no space"),
        list("empty merge", &[""], "no space"),
        list("merge of unknown tokens", &["qq ww"], "not in the vocabulary"),
        list("merge into an unknown token", &["q q"], "not in the vocabulary"),
    ]
}

fn templates() -> Vec<Case> {
    // a template is compiled when it is first used, so that a broken one does not stop a model from loading
    let template = |name, source: &str| key(name, "tokenizer.chat_template", text(source), "", "");
    vec![
        template("template that is no template", "{% if %}{{"),
        template("CVE-2024-34359: template that looks for a way out", "{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        template("CVE-2026-5760: template that imports", "{% import 'os' as os %}{{ os.popen('id').read() }}"),
        template(
            "endless template",
            "{% for i in range(1000000000) %}{% for j in range(1000000000) %}x{% endfor %}{% endfor %}",
        ),
        template(
            "template that grows",
            "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        ),
        template("template that multiplies", "{{ 'x' * 100000000000 }}"),
        template("template that calls itself", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
        template("empty template", ""),
        key("template as a number", "tokenizer.chat_template", U32(1), "Gguf", "chat_template"),
    ]
}

/// Odd, and sound: they load, and what they compute may be nonsense.
fn odd() -> Vec<Case> {
    let ok = |name, toy| case(name, toy, "", "");
    let fill = |name: &str, value| toy::llama().fill(name, value);
    let q4 = |scale: u16| {
        let block = [&scale.to_le_bytes()[..], &[0x5a; 16]].concat();
        toy::llama().tensor_data("blk.0.attn_q.weight", TensorType::Q4_0, &[N_EMBD, 64], block.repeat(64))
    };
    vec![
        ok("llama", toy::llama()),
        ok("gemma3", toy::gemma3()),
        ok("no tokenizer", toy::llama().without_tokenizer()),
        ok("weights are NaN", fill("blk.0.attn_q.weight", f32::NAN)),
        ok("weights are infinite", fill("blk.1.ffn_down.weight", f32::INFINITY)),
        ok("weights are huge", fill("output.weight", f32::MAX)),
        ok("weights are subnormal", fill("output_norm.weight", 1e-40)),
        ok("norm is NaN", fill("output_norm.weight", f32::NAN)),
        ok("block scale is NaN", q4(0x7e00)),
        ok("block scale is infinite", q4(0x7c00)),
        ok("rope factors are 0", toy::llama().tensor("rope_freqs.weight", TensorType::F32, &[8])),
        ok("norm in a block type", toy::llama().tensor("output_norm.weight", TensorType::Q8_0, &[32])),
        ok("bias in f16", toy::llama().tensor("blk.0.attn_q.bias", TensorType::F16, &[64])),
        ok("window pattern 0: all", toy::gemma3().set("attention.sliding_window_pattern", U32(0))),
        ok("window of 0: none", toy::gemma3().set("attention.sliding_window", U32(0))),
        ok("window of 1", toy::gemma3().set("attention.sliding_window", U32(1))),
        ok("window larger than the context", toy::gemma3().set("attention.sliding_window", U32(1 << 20))),
        ok("every layer global", toy::gemma3().set("attention.sliding_window_pattern", U32(1))),
        ok("context of 1", toy::llama().set("context_length", U32(1))),
        ok("context of 2^30", toy::llama().set("context_length", U32(1 << 30))),
        ok("counts as u64", toy::llama().set("block_count", U64(2)).set("embedding_length", U64(32))),
        ok(
            "counts per layer",
            toy::llama().set("attention.head_count", U32s(vec![4, 4])).set("feed_forward_length", I32s(vec![64; 3])),
        ),
        ok("alignment 8", toy::llama().set("general.alignment", U32(8))),
        ok("output tied to the embedding", toy::llama().without_tensor("output.weight")),
        ok(
            "rows without tokens",
            toy::llama()
                .set("tokenizer.ggml.add_bos_token", Bool(true))
                .tensor("token_embd.weight", TensorType::F32, &[N_EMBD, 300])
                .tensor("output.weight", TensorType::F32, &[N_EMBD, 300]),
        ),
        ok("c33fe8b8c: vocabulary of two tokens", spm(&["<unk>", "a"], vec![2, 1])),
    ]
}

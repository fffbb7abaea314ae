"""BERT in numpy, in float64, from the weights as their files hold them: what gabion's encoders are compared with. Also its weights
as GGUF. It shares no code with gabion."""

import re
from pathlib import Path

import numpy as np

# of every model here: files of weights do not tell it
HEADS = 12
EPS = 1e-12


def weights(folder: Path) -> dict:
    """Weights in float32 by Hugging Face's names (without a leading `bert.`), of a safetensors or an int8 ONNX file."""
    safetensors = folder / "model.safetensors"
    if safetensors.exists():
        from safetensors.numpy import load_file

        found = load_file(safetensors)
    else:
        found = from_onnx(folder / "model.onnx")
    return {name.removeprefix("bert."): array.astype(np.float32) for name, array in found.items() if array.ndim > 0}


def from_onnx(path: Path) -> dict:
    """The dequantized weights: (q - zero) * scale. Matrices have no names of their own there, but the bias that is added to what
    they make has one."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def dequantized(name: str) -> np.ndarray:
        base = name.removesuffix("_quantized")
        q, scale, zero = (held[base + end].astype(np.float32) for end in ("_quantized", "_scale", "_zero_point"))
        return (q - zero) * scale

    found = {name: a for name, a in held.items() if name.endswith((".weight", ".bias")) and a.dtype == np.float32}
    makers = {output: node for node in graph.node for output in node.output}
    for name in held:
        if not name.endswith("_quantized"):
            continue
        base = name.removesuffix("_quantized")
        if base.endswith("_embeddings.weight"):
            found[base] = dequantized(name)
        elif base.endswith(".weight"):
            # a linear layer that was stored as x W
            found[base] = dequantized(name).T
    for node in graph.node:
        bias = next((i for i in node.input if i.endswith(".bias") and node.op_type == "Add"), None)
        weight = bias and bias.removesuffix("bias") + "weight"
        if bias is None or weight in found:
            continue
        matrix = product_behind(makers, next(i for i in node.input if i != bias))
        found[weight] = dequantized(matrix).T
    return found


def product_behind(makers: dict, value: str) -> str:
    """The weight of the integer product that a value comes from."""
    node = makers[value]
    while node.op_type != "MatMulInteger":
        node = next(makers[i] for i in node.input if i in makers and makers[i].op_type in ("Mul", "Cast", "MatMulInteger"))
    return node.input[1]


def layers(w: dict) -> int:
    return 1 + max(int(m[1]) for m in (re.match(r"encoder\.layer\.(\d+)\.", name) for name in w) if m)


class Bert:
    def __init__(self, w: dict):
        self.w = {name: array.astype(np.float64) for name, array in w.items()}
        self.layers = layers(w)

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def attention(self, x: np.ndarray, layer: str) -> np.ndarray:
        def heads(part: str) -> np.ndarray:
            return self.linear(x, f"{layer}.attention.self.{part}").reshape(len(x), HEADS, -1).transpose(1, 0, 2)

        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        return mixed.transpose(1, 0, 2).reshape(len(x), -1)

    def states(self, ids: list, types: list) -> np.ndarray:
        """[tokens][width]"""
        e = "embeddings"
        x = self.w[f"{e}.word_embeddings.weight"][ids] + self.w[f"{e}.token_type_embeddings.weight"][types]
        x = self.norm(x + self.w[f"{e}.position_embeddings.weight"][: len(ids)], f"{e}.LayerNorm")
        for i in range(self.layers):
            layer = f"encoder.layer.{i}"
            mixed = self.linear(self.attention(x, layer), f"{layer}.attention.output.dense")
            x = self.norm(x + mixed, f"{layer}.attention.output.LayerNorm")
            units = gelu(self.linear(x, f"{layer}.intermediate.dense"))
            x = self.norm(x + self.linear(units, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return x

    def score(self, ids: list, types: list) -> float:
        """What a cross-encoder says of a pair."""
        pooled = np.tanh(self.linear(self.states(ids, types)[:1], "pooler.dense"))
        return float(self.linear(pooled, "classifier")[0, 0])


def gelu(x: np.ndarray) -> np.ndarray:
    from math import erf

    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


SPECIAL = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
NAMES = [
    (r"embeddings\.word_embeddings\.(.*)", r"token_embd.\1"),
    (r"embeddings\.position_embeddings\.(.*)", r"position_embd.\1"),
    (r"embeddings\.token_type_embeddings\.(.*)", r"token_types.\1"),
    (r"embeddings\.LayerNorm\.(.*)", r"token_embd_norm.\1"),
    (r"encoder\.layer\.(\d+)\.attention\.self\.(q|k|v)\w+\.(.*)", r"blk.\1.attn_\2.\3"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(.*)", r"blk.\1.attn_output.\2"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.(.*)", r"blk.\1.attn_output_norm.\2"),
    (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(.*)", r"blk.\1.ffn_up.\2"),
    (r"encoder\.layer\.(\d+)\.output\.dense\.(.*)", r"blk.\1.ffn_down.\2"),
    (r"encoder\.layer\.(\d+)\.output\.LayerNorm\.(.*)", r"blk.\1.layer_output_norm.\2"),
    (r"pooler\.dense\.(.*)", r"cls.\1"),
    (r"classifier\.(.*)", r"cls.output.\1"),
]


def write_gguf(folder: Path, w: dict, out: Path, pooling: int, ty: str) -> None:
    """pooling: 1 mean, 2 first token, 4 scores of a cross-encoder. ty: F32, F16 or Q8_0, of matrices."""
    import gguf

    table = w["embeddings.word_embeddings.weight"]
    file = gguf.GGUFWriter(str(out), "bert")
    file.add_name(out.stem)
    file.add_block_count(layers(w))
    file.add_context_length(len(w["embeddings.position_embeddings.weight"]))
    file.add_embedding_length(table.shape[1])
    file.add_feed_forward_length(len(w["encoder.layer.0.intermediate.dense.bias"]))
    file.add_head_count(HEADS)
    file.add_layer_norm_eps(EPS)
    file.add_uint32("bert.pooling_type", pooling)
    file.add_bool("bert.attention.causal", False)
    vocab = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[: len(table)]
    word = lambda t: t if t in SPECIAL else t[2:] if t.startswith("##") else "\u2581" + t
    file.add_tokenizer_model("bert")
    file.add_tokenizer_pre("bert-bge")
    file.add_token_list([word(t) for t in vocab])
    file.add_token_types([3 if t in SPECIAL else 1 for t in vocab])
    file.add_token_type_count(len(w["embeddings.token_type_embeddings.weight"]))
    for name, token in [("cls", "[CLS]"), ("seperator", "[SEP]"), ("unknown", "[UNK]"), ("padding", "[PAD]"), ("mask", "[MASK]")]:
        file.add_uint32(f"tokenizer.ggml.{name}_token_id", vocab.index(token))
    for name, array in w.items():
        hits = [re.sub(f"^{old}$", new, name) for old, new in NAMES if re.fullmatch(old, name)]
        if not hits or (pooling != 4 and hits[0].startswith("cls")):
            continue
        plain = array.ndim == 1 or hits[0].startswith(("position", "token_types"))
        kind = gguf.GGMLQuantizationType["F32" if plain else ty]
        file.add_tensor(hits[0], gguf.quants.quantize(array, kind), raw_dtype=kind)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()

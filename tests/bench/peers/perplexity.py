#!/usr/bin/env python3
"""Perplexity of one model on one text, by gabion and by llama.cpp: the same method, the same windows.

    python3 tests/bench/peers/perplexity.py MODEL.gguf TEXT [--chunks 16]

Both compute as they do by default (activations in 8 bits, a cache in f16); gabion in float32 (`--exact`), too.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

import run

HERE = Path(__file__).resolve().parent


def llama_cpp(binaries: Path, args: argparse.Namespace) -> dict:
    worker = [binaries / "python", HERE / "llamacpp_perplexity.py", args.model, args.text, args.ctx, args.chunks, args.threads]
    result = subprocess.run(list(map(str, worker)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def gabion(binary: Path, args: argparse.Namespace, *more: str) -> dict:
    command = [binary, "perplexity", "-m", args.model, "-f", args.text, "-c", args.ctx, "--chunks", args.chunks]
    return run.json_of(args, [*command, "-t", args.threads, "--device", args.device, "--json", *more])


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare gabion's perplexity with llama.cpp's.")
    parser.add_argument("model", type=Path, help="GGUF file")
    parser.add_argument("text", type=Path, help="text of at least two windows")
    parser.add_argument("-c", "--ctx", type=int, default=512, help="tokens of a window (default: 512)")
    parser.add_argument("--chunks", type=int, default=16, help="most windows (default: 16)")
    parser.add_argument("--device", default="cpu", help="gabion's device (default: cpu)")
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count(), help="threads of both (default: all cores)")
    parser.add_argument("--gabion", type=Path, help="gabion's binary (default: a fresh release build)")
    args = parser.parse_args()
    binaries, binary = run.environment(), args.gabion or run.build()
    peer = llama_cpp(binaries, args)
    print(f"{args.model.name} on {args.text.name}, {peer['tokens']} tokens scored\n")
    print("| engine | perplexity | against llama.cpp |\n|---|---:|---:|")
    print(f"| llama.cpp | {peer['ppl']:.4f} | |")
    for name, options in (("gabion", []), ("gabion --exact", ["--exact"])):
        own = gabion(binary, args, *options)
        assert own["tokens"] == peer["tokens"], f"{own['tokens']} tokens of gabion, {peer['tokens']} of llama.cpp"
        print(f"| {name} | {own['ppl']:.4f} | {100 * (own['ppl'] / peer['ppl'] - 1):+.3f} % |", flush=True)


if __name__ == "__main__":
    main()

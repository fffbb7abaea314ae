"""Perplexity of one model on one text, by gabion and by llama.cpp: the same method, the same windows.

Both compute as they do by default (activations in 8 bits, a cache in f16); gabion in float32 (`--exact`), too. Part of run.py.
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import packages
import table
from packages import HERE, need

TESTS = {"perplexity": [], "perplexity, float32": ["--exact"]}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", type=Path, help="text for the perplexity (default: Genesis, from Debian's bible-kjv)")
    parser.add_argument("--ctx", type=int, default=512, help="tokens of one of its windows (default: 512)")
    parser.add_argument("--chunks", type=int, default=16, help="most windows (default: 16)")


def genesis() -> Path:
    """A real text that a package has."""
    path = packages.home() / "genesis.txt"
    if not path.exists():
        if shutil.which("bible") is None:
            need.install(["bible-kjv"])
        path.write_bytes(subprocess.run(["bible", "-f", "gen1:1-gen50:26"], stdout=subprocess.PIPE, check=True).stdout)
    return path


def llama_cpp(args: argparse.Namespace, text: Path) -> dict:
    worker = [args.python, HERE / "llamacpp_perplexity.py", args.model, text, args.ctx, args.chunks, args.threads]
    result = subprocess.run(list(map(str, worker)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def gabion(args: argparse.Namespace, text: Path, options: list) -> dict:
    command = [args.gabion, "perplexity", "-m", args.model, "-f", text, "-c", args.ctx, "--chunks", args.chunks]
    command += ["-t", args.threads, "--device", "cpu", "--json", *options]
    return json.loads(subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True).stdout)


def rows(args: argparse.Namespace) -> list:
    text = args.text or genesis()
    peer, found = llama_cpp(args, text), []
    for test, options in TESTS.items():
        own = gabion(args, text, options)
        assert own["tokens"] == peer["tokens"], f"{own['tokens']} tokens of gabion, {peer['tokens']} of llama.cpp"
        name = f"{test} of {peer['tokens']} tokens of {text.name}"
        found.append(table.row("CPU", name, "", {"llama.cpp": [peer["ppl"]], "gabion": [own["ppl"]]}))
    return found

"""wllama (llama.cpp in wasm) and gabion in Chromium, each on one CPU thread, and gabion on WebGPU (SwiftShader where there is no
GPU), which wllama refuses without shader-f16: its CPU is what that is compared with.
"""

import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
PACKAGE = "@wllama/wllama@3.8.1"
PEER, ENGINES = "wllama", ("gabion cpu", "gabion webgpu")


def measure(home: Path, model: str, rounds: int, tokens: int) -> dict:
    """Samples of each engine, in turn; each in a browser of its own."""
    quiet = ["--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", "--prefix", str(home), *quiet, PACKAGE], check=True)
    subprocess.run(["npm", "ci", *quiet], cwd=REPOSITORY / "tests/browser", check=True)
    subprocess.run(["sh", str(REPOSITORY / "bindings/wasm/build.sh")], stdout=subprocess.DEVNULL, check=True)
    wllama = home / "node_modules/@wllama/wllama"
    command = [shutil.which("node"), HERE / "browser.mjs", model, wllama, rounds, tokens]
    environment = {"XDG_RUNTIME_DIR": "/tmp", **os.environ}
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, env=environment, text=True, check=True)
    return json.loads(result.stdout)


def table(runs: dict) -> str:
    """Markdown: medians with ranges, and how gabion's decoding compares."""
    lines = ["| in Chromium | load, s | first token, s | decode, t/s | decode / wllama |", "|---|---:|---:|---:|---:|"]
    peer = statistics.median(run["decode"] for run in runs[PEER])
    for engine, samples in runs.items():
        cells = [cell([run[key] for run in samples]) for key in ("load", "first", "decode")]
        ratio = statistics.median(run["decode"] for run in samples) / peer
        lines.append(f"| {engine} ({samples[0]['device']}) | {' | '.join(cells)} | {ratio:.2f}x |")
    return "\n".join(lines)


def cell(values: list) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"

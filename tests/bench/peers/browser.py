"""wllama (llama.cpp in wasm) and gabion in Chromium, each on one CPU thread, and gabion on WebGPU (SwiftShader where there is no
GPU), which wllama refuses without shader-f16: its CPU is what that is compared with.
"""

import argparse
import json
import os
import subprocess

import packages
import table
from packages import HERE

TOKENS = 48
PEER, ENGINES = "wllama", ("gabion cpu", "gabion webgpu")
TESTS = {"decode": ("decode", "tokens/s"), "load": ("load", "s"), "first": ("prompt to first token", "s")}


def measure(model: str, rounds: int) -> dict:
    """Samples of each engine, in turn; each in a browser of its own."""
    packages.web()
    command = ["node", HERE / "browser.mjs", model, packages.npm(packages.BROWSER), rounds, TOKENS]
    environment = {"XDG_RUNTIME_DIR": "/tmp", **os.environ}
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, env=environment, text=True, check=True)
    return json.loads(result.stdout)


def rows(args: argparse.Namespace) -> list:
    runs = measure(args.model, args.rounds)
    found = []
    for engine in ENGINES:
        device = f"Chromium, {runs[engine][0]['device']}; wllama: {runs[PEER][0]['device']}"
        for key, (test, unit) in TESTS.items():
            samples = {"llama.cpp": [run[key] for run in runs[PEER]], "gabion": [run[key] for run in runs[engine]]}
            found.append(table.row(device, test, unit, samples))
    return found

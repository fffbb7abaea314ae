"""Cold processes beside each other: time from their start to the first token of a short prompt, and peak memory.

llama.cpp is its server, within a process: its package has nothing smaller. That costs it some set-up of slots and templates
beside loading the model.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import table
from packages import HERE

# 14 tokens of SmolLM2
PROMPT = "The quick brown fox jumps over the lazy dog, and then it runs"
N_CTX = 4096


def llama_cpp(python: Path, model: str, threads: int) -> dict:
    """Less what Python and importing the package take, in time and in memory: llama.cpp itself needs neither."""
    worker = [str(python), str(HERE / "llamacpp_start.py"), model, str(threads), str(N_CTX), PROMPT]
    result = subprocess.run(worker, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    said = json.loads(result.stdout.splitlines()[-1])
    return {
        "seconds": said["first_token_s"] - said["ready_s"],
        "mib": (said["peak_kb"] - said["ready_kb"]) / 1024,
        "prompt_tokens": said["prompt_n"],
    }


def gabion(binary: Path, model: str, threads: int) -> dict:
    """The whole process, up to the first byte of its text."""
    command = [str(binary), "run", "-m", model, "--device", "cpu", "-t", str(threads), "-c", str(N_CTX)]
    command += ["-p", PROMPT, "-n", "1", "--temp", "0"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.read(1), "no text came"
    seconds = time.monotonic() - start
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"gabion ended with {process.returncode}"
    return {"seconds": seconds, "mib": usage.ru_maxrss / 1024}


def rows(args: argparse.Namespace) -> list:
    """Samples in turn, after one run of each that is not counted: the file is then cached."""
    theirs = lambda: llama_cpp(args.python, args.model, args.threads)
    ours = lambda: gabion(args.gabion, args.model, args.threads)
    theirs(), ours()
    runs = {"llama.cpp": [], "gabion": []}
    for _ in range(args.starts):
        runs["llama.cpp"].append(theirs())
        runs["gabion"].append(ours())
    prompt = f"start to first token after {runs['llama.cpp'][0]['prompt_tokens']}"
    samples = lambda key: {engine: [run[key] for run in of_engine] for engine, of_engine in runs.items()}
    tests = [("seconds", prompt, "s"), ("mib", "peak memory", "MiB")]
    return [table.row("CPU, cold process", test, unit, samples(key)) for key, test, unit in tests]

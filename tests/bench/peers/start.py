"""Cold processes beside each other: time from their start to the first token of a short prompt, and peak memory.

llama.cpp is its server, within a process: its package has nothing smaller. That costs it some set-up of slots and templates
beside loading the model.
"""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
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


def measure(python: Path, binary: Path, model: str, threads: int, rounds: int) -> dict:
    """Samples in turn, after one run of each that is not counted: the file is then cached."""
    llama_cpp(python, model, threads), gabion(binary, model, threads)
    runs = {"llama.cpp": [], "gabion": []}
    for _ in range(rounds):
        runs["llama.cpp"].append(llama_cpp(python, model, threads))
        runs["gabion"].append(gabion(binary, model, threads))
    return runs


def table(runs: dict) -> str:
    """Markdown: medians with ranges, and gabion's share of llama.cpp's."""
    tokens = runs["llama.cpp"][0]["prompt_tokens"]
    lines = ["| cold process, CPU | llama.cpp | gabion | gabion / llama.cpp |", "|---|---:|---:|---:|"]
    for key, name, digits in (("seconds", f"seconds to the first token after {tokens}", 3), ("mib", "peak memory, MiB", 0)):
        values = {engine: [run[key] for run in of_engine] for engine, of_engine in runs.items()}
        medians = {engine: statistics.median(samples) for engine, samples in values.items()}
        cells = [
            f"{medians[engine]:.{digits}f} ({min(samples):.{digits}f}-{max(samples):.{digits}f})"
            for engine, samples in values.items()
        ]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {medians['gabion'] / medians['llama.cpp']:.2f}x |")
    return "\n".join(lines)

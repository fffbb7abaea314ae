#!/usr/bin/env python3
"""Measures gabion beside llama.cpp: the same file, the same threads, in turn (A B A B), so that a busy machine slows both.

    python3 tests/bench/peers/run.py --all [--encoder MINILM.gguf] --json OUT
    python3 tests/bench/peers/run.py [MODEL.gguf] [--only cpu start perplexity vulkan browser embed] [--rounds 3] [--json OUT]

With --all both of the models that the quickstart fetches. Peers come from packages, without building:
PyPI's `xllamacpp` (CPU), npm's `@node-llama-cpp/linux-x64-vulkan` (Vulkan, here always lavapipe) and `@wllama/wllama` (Chromium). They
are kept in the cache folder. What they need of Debian (mesa-vulkan-drivers, chromium, npm, bible-kjv) is installed, too.

Decode is the same for both: greedy, from a prompt of one token, steps per second without the first token, sampling included.
Prefill is one prompt from an empty cache. Both warm up before. `start`: cold processes on the CPU, their time to the first token and
their peak memory. `perplexity`: the quality of both on the same text. `embed`: the speed of an encoder.
"""

import argparse
import contextlib
import datetime
import functools
import json
import os
import platform
import subprocess
from pathlib import Path

import browser
import embed
import packages
import perplexity
import start
import table
from packages import HERE, models

# device: prompt lengths, tokens to generate, gabion's name for it
SIZES = {"cpu": ([128, 512], 64, "cpu"), "vulkan": ([64], 12, "llvmpipe")}
# what each part's rows come from
PARTS = {
    "cpu": lambda args: speed_rows("cpu", args),
    "start": start.rows,
    "perplexity": perplexity.rows,
    "vulkan": lambda args: speed_rows("vulkan", args),
    "browser": browser.rows,
    "embed": embed.rows,
}
GENERATORS = [part for part in PARTS if part != "embed"]
N_CTX = 640


def token_ids(n: int) -> list:
    """Ids that any vocabulary has and no control token is among."""
    return [1000 + 37 * i % 5000 for i in range(n)]


def requests(prompts: list, generate: int) -> list:
    """A warm-up, the prefills, the decode, as llama.cpp's server takes them."""
    common = {"temperature": 0.0, "cache_prompt": False, "ignore_eos": True}
    sizes = [(prompts[0], 4), *((prompt, 1) for prompt in prompts), (1, generate + 1)]
    return [{**common, "prompt": token_ids(p), "n_predict": n} for p, n in sizes]


def speeds(timings: list) -> dict:
    """Tokens per second from the server's timings. The first token comes with the prompt: it is no step."""
    _, *prefills, decode = timings
    speeds = {f"prefill {run['prompt_n']}": run["prompt_n"] / run["prompt_ms"] * 1e3 for run in prefills}
    steps = decode["predicted_n"] - 1
    return {**speeds, f"decode {steps}": steps / decode["predicted_ms"] * 1e3}


def peer(name: str, args: argparse.Namespace, prompts: list, generate: int) -> dict:
    worker = [args.python, HERE / f"llamacpp_{name}.py", *(vulkan() if name == "vulkan" else []), args.model, args.threads, N_CTX]
    text, options = json.dumps(requests(prompts, generate)), {"stderr": subprocess.PIPE, "env": software_gpu(args)}
    result = subprocess.run(list(map(str, worker)), input=text, stdout=subprocess.PIPE, text=True, **options)
    if result.returncode != 0:
        raise SystemExit(f"error: llama.cpp failed ({result.returncode}):\n{result.stderr[-2000:]}")
    answer = json.loads(result.stdout.splitlines()[-1])
    if name == "vulkan" and "llvmpipe" not in answer["device"]:
        raise SystemExit(f"error: llama.cpp took {answer['device']}, not lavapipe")
    return speeds(answer["timings"])


@functools.cache
def vulkan() -> list:
    """Where the package's shared libraries are."""
    packages.need.vulkan()
    return [packages.npm(packages.VULKAN) / "bins/linux-x64-vulkan"]


def software_gpu(args: argparse.Namespace) -> dict:
    """Lavapipe alone, with as many threads as everything else. llama.cpp takes a device that is a CPU only if it is named."""
    drivers = ":".join(map(str, Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json")))
    variables = {"VK_ICD_FILENAMES": drivers, "GGML_VK_VISIBLE_DEVICES": "0", "LP_NUM_THREADS": str(args.threads)}
    return {"XDG_RUNTIME_DIR": "/tmp", **os.environ, **variables}


def gabion(args: argparse.Namespace, device: str, prompts: list, generate: int) -> dict:
    common = ["-m", args.model, "--device", device, "-t", str(args.threads)]
    sizes = ",".join(map(str, prompts))
    bench = json_of(args, [args.gabion, "bench", *common, "-p", sizes, "-n", 0, "-r", 1, "-o", "json"])
    ids = ",".join(map(str, token_ids(1)))
    decode = ["run", *common, "--ids", ids, "-n", generate + 1, "--temp", 0, "--ignore-eos", "-c", N_CTX, "--json"]
    timings = json_of(args, [args.gabion, *decode])["timings"]
    prefills = {f"prefill {run['n_prompt']}": run["avg_ts"] for run in bench}
    return {**prefills, f"decode {generate}": timings["decode_tokens"] / timings["decode_ms"] * 1e3}


def json_of(args: argparse.Namespace, command: list):
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, env=software_gpu(args), text=True, check=True)
    return json.loads(result.stdout)


def speed_rows(name: str, args: argparse.Namespace) -> list:
    """A row for each prefill and one for decode."""
    prompts, generate, device = SIZES[name]
    runs = {"llama.cpp": [], "gabion": []}
    for number in range(args.rounds):
        models.note(f"{name}: round {number + 1} of {args.rounds}")
        runs["llama.cpp"].append(peer(name, args, prompts, generate))
        if not args.peers_only:
            runs["gabion"].append(gabion(args, device, prompts, generate))
    title = {"cpu": "CPU", "vulkan": "Vulkan, lavapipe"}[name]
    samples = lambda test: {engine: [run[test] for run in of_engine] for engine, of_engine in runs.items()}
    return [table.row(title, test, "tokens/s", samples(test)) for test in runs["llama.cpp"][0]]


def measure(args: argparse.Namespace, model: Path, parts: list) -> dict:
    """Every part of one model. A table is printed as soon as its part is done."""
    args.model, rows = str(model), []
    print(f"\n{model.name}", flush=True)
    for part in parts:
        load = os.getloadavg()[0]
        models.note(f"{model.name}: {part}")
        found = [{"part": part, "load": round(load, 2), **row} for row in PARTS[part](args)]
        print(f"\n{part}, load {load:.1f} before:\n\n{table.markdown(found)}", flush=True)
        rows += found
    return {"model": model.name, "rows": rows}


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure gabion beside llama.cpp on one file, or on two.")
    parser.add_argument("model", nargs="?", type=Path, help="GGUF file (default: SmolLM2, fetched)")
    parser.add_argument("--all", action="store_true", help="SmolLM2 and Gemma 3, fetched")
    parser.add_argument("--encoder", type=Path, help="also the embeddings of this GGUF file")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=GENERATORS, help="only these parts (default: all but embed)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each engine, in turn (default: 3)")
    parser.add_argument("--starts", type=int, default=9, help="cold starts of each engine, in turn (default: 9)")
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count(), help="threads of both (default: all cores)")
    parser.add_argument("--gabion", type=Path, help="gabion's binary (default: a fresh release build)")
    parser.add_argument("--peers-only", action="store_true", help="speeds, gabion left out")
    perplexity.add_options(parser)
    parser.add_argument("--json", type=Path, help="also write everything here")
    args = parser.parse_args()
    if args.all and args.model:
        parser.error("--all takes no file")
    if args.peers_only and not set(args.only) <= set(SIZES):
        parser.error("--peers-only is for --only " + " ".join(SIZES))
    return args


def jobs(args: argparse.Namespace) -> list:
    """Files, each with its parts."""
    names = models.MODELS if args.all else ["smollm2"]
    files = [args.model.absolute()] if args.model else [models.fetch(models.MODELS[name]) for name in names]
    return [(file, args.only) for file in files] + ([(args.encoder.absolute(), ["embed"])] if args.encoder else [])


def main() -> None:
    args = parse()
    todo = jobs(args)
    args.python = packages.environment() / "python"
    args.gabion = None if args.peers_only else args.gabion or packages.build()
    load = os.getloadavg()[0]
    if load > 0.5:
        models.note(f"warning: the machine is busy (load {load:.1f}); both engines suffer, not always equally")
    about = {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_name(),
        "threads": args.threads,
        "rounds": args.rounds,
        "starts": args.starts,
        "peers": [packages.CPU, packages.VULKAN, packages.BROWSER],
    }
    print(f"{about['cpu']}, {args.threads} threads, {about['date']}; median (range) of {args.rounds} rounds, of {args.starts} cold starts")
    measured = []
    for file, parts in todo:
        measured.append(measure(args, file, parts))
        if args.json:
            args.json.write_text(json.dumps({**about, "models": measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()

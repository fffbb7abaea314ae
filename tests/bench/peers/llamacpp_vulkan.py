"""llama.cpp on Vulkan, through the C interface of npm's `@node-llama-cpp/linux-x64-vulkan`: requests in, timings out, as from its server.

Run by run.py: `llamacpp_vulkan.py FOLDER MODEL THREADS N_CTX < requests`, FOLDER with the package's shared libraries. The last line of
stdout is a JSON object of `timings` and the `device`'s name; llama.cpp's log goes to stderr.
"""

import ctypes
import json
import sys
import time
from pathlib import Path

from llamacpp_c import Engine, library

# the library's own default, which its server has, too
N_UBATCH = 512


def load(folder: Path) -> tuple:
    """The library, with the package's backends (its CPU code is chosen for this machine), and the GPU's name."""
    find = lambda name: next(folder.glob(f"{name}.*so*"))
    ggml = ctypes.CDLL(str(find("libggml")), ctypes.RTLD_GLOBAL)
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    ggml.ggml_backend_dev_get.restype, ggml.ggml_backend_dev_get.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    base = ctypes.CDLL(str(folder / "libggml-base.so"))
    describe = base.ggml_backend_dev_description
    describe.restype, describe.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    return library(find("libllama")), describe(ggml.ggml_backend_dev_get(0)).decode()


def run(engine: Engine, request: dict) -> dict:
    """Greedy. The prompt's time reaches to its first token; the steps after it are timed apart."""
    prompt, n = request["prompt"], request["n_predict"]
    engine.clear()
    start = time.perf_counter()
    token = int(engine.decode(prompt, 0, len(prompt) - 1).argmax())
    first = time.perf_counter()
    for step in range(n - 1):
        token = int(engine.decode([token], len(prompt) + step, 0).argmax())
    end = time.perf_counter()
    return {"prompt_n": len(prompt), "prompt_ms": (first - start) * 1e3, "predicted_n": n, "predicted_ms": (end - first) * 1e3}


def main() -> None:
    folder, model, threads, n_ctx = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    llama, device = load(folder)
    engine = Engine(llama, model, n_ctx, N_UBATCH, threads)
    timings = [run(engine, request) for request in json.load(sys.stdin)]
    print(json.dumps({"timings": timings, "device": device}))


main()

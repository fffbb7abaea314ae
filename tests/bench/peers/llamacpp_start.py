"""llama.cpp on the CPU from a cold process to its first token: `llamacpp_start.py MODEL THREADS N_CTX PROMPT`.

Prints {"ready_s", "first_token_s", "ready_kb", "peak_kb"}: seconds since this process began and its peak memory, both when
Python has imported the package (which llama.cpp itself would not need) and when the first token is there.
"""

import json
import resource
import sys
import time

import xllamacpp


def elapsed() -> float:
    """Seconds since the kernel started this process."""
    ticks = float(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / 100


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    ready = {"ready_s": elapsed(), "ready_kb": peak_kb()}
    model, threads, n_ctx, prompt = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel, params.n_gpu_layers = n_ctx, 1, 0
    params.cache_ram_mib, params.warmup, params.verbosity = 0, False, -1
    request = {"prompt": prompt, "n_predict": 1, "temperature": 0.0}
    answer = xllamacpp.Server(params).handle_completions(request)
    result = {**ready, "first_token_s": elapsed(), "peak_kb": peak_kb(), "prompt_n": answer["timings"]["prompt_n"]}
    print(json.dumps(result), flush=True)


main()

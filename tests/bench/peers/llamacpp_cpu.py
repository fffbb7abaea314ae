"""llama.cpp on the CPU, through the package xllamacpp: one JSON request list in, one list of timings out.

Run by run.py inside the environment that has the package: `llamacpp_cpu.py MODEL THREADS N_CTX < requests`.
"""

import json
import sys

import xllamacpp


def main() -> None:
    model, threads, n_ctx = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel, params.n_gpu_layers = n_ctx, 1, 0
    params.cache_ram_mib = 0
    params.verbosity = -1
    server = xllamacpp.Server(params)
    answers = [server.handle_completions(request) for request in json.load(sys.stdin)]
    system = xllamacpp.get_system_info()
    print(json.dumps({"timings": [answer["timings"] for answer in answers], "system": system}))


main()

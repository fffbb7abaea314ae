"""llama.cpp's embeddings on the CPU, through the package xllamacpp: texts in, one JSON object of seconds out.

Run by embed.py inside the environment that has the package: `llamacpp_embed.py MODEL THREADS REPEATS < texts`, a text a line. Its
best settings were looked for: a physical batch of 512 tokens, a slot for each text.
"""

import json
import resource
import sys
import time

import xllamacpp


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    model, threads, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    texts = sys.stdin.read().splitlines()
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.embedding, params.n_gpu_layers, params.verbosity = True, 0, -1
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_parallel = 4096, 4096, 512, len(texts)
    server = xllamacpp.Server(params)
    answer = server.handle_embeddings({"input": texts})  # warms up
    wall, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(repeats):
        server.handle_embeddings({"input": texts})
    seconds = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
    print(json.dumps({**seconds, "tokens": answer["usage"]["prompt_tokens"], "first": answer["data"][0]["embedding"]}))


main()

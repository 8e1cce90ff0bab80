"""llama.cpp on a GGUF file, by the bindings of llama-cpp-python: batches of sequences as its server forms them, without the
server. bench/decode-speed.ts starts it and asks over stdin and stdout, one JSON object a line: {"prompts": [B][P], "newTokens":
n} is answered by {"prefillSeconds", "decodeSeconds", "tokens": [B][n]}.
"""

import ctypes
import json
import sys
import time

try:
    import llama_cpp as llama
    import numpy as np
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    sys.exit(0)

BATCH = 2048

file, threads, max_rows, max_length = sys.argv[1], *map(int, sys.argv[2:5])
silent = llama.llama_log_callback(lambda level, text, data: None)
llama.llama_log_set(silent, ctypes.c_void_p(0))
llama.llama_backend_init()
started = time.perf_counter()
model = llama.llama_model_load_from_file(file.encode(), llama.llama_model_default_params())
if not model:
    raise SystemExit(f"llama.cpp: expected a GGUF model, got {file}")
params = llama.llama_context_default_params()
params.n_ctx = max_rows * (-(-max_length // 256) * 256)
params.n_batch = BATCH
params.n_seq_max = max_rows
params.n_threads = params.n_threads_batch = threads
context = llama.llama_init_from_model(model, params)
if not context:
    raise SystemExit("llama.cpp: expected a context, got none")
vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
batch = llama.llama_batch_init(BATCH, 0, 1)
print(json.dumps({"version": llama.__version__, "loadSeconds": time.perf_counter() - started}), flush=True)


def feed(entries):
    """Feeds (row, position, token, wants logits) of all rows; returns the greedy token of each entry that wants one."""
    picked = []
    for start in range(0, len(entries), BATCH):
        part = entries[start : start + BATCH]
        batch.n_tokens = len(part)
        for i, (row, position, token, wants) in enumerate(part):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = row
            batch.logits[i] = wants
        code = llama.llama_decode(context, batch)
        if code != 0:
            raise SystemExit(f"llama.cpp: expected llama_decode to succeed, got code {code}")
        for i, (_, _, _, wants) in enumerate(part):
            if wants:
                logits = np.ctypeslib.as_array(llama.llama_get_logits_ith(context, i), shape=(vocabulary,))
                picked.append(int(logits.argmax()))
    return picked


for line in sys.stdin:
    request = json.loads(line)
    prompts = request["prompts"]
    length = len(prompts[0])
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    began = time.perf_counter()
    last = feed(
        [(row, i, token, i == length - 1) for row, prompt in enumerate(prompts) for i, token in enumerate(prompt)]
    )
    fed = time.perf_counter()
    tokens = [[token] for token in last]
    for step in range(request["newTokens"]):
        last = feed([(row, length + step, token, True) for row, token in enumerate(last)])
        for row, token in enumerate(last):
            tokens[row].append(token)
    ended = time.perf_counter()
    answer = {"prefillSeconds": fed - began, "decodeSeconds": ended - fed, "tokens": [row[:-1] for row in tokens]}
    print(json.dumps(answer), flush=True)

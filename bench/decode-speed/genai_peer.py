"""onnxruntime-genai on a folder of its model builder. bench/decode-speed.ts starts it and asks over stdin and stdout, one
JSON object a line: {"prompts": [B][P], "newTokens": n} is answered by {"prefillSeconds", "decodeSeconds", "tokens": [B][n]}.
"""

import json
import sys
import time

try:
    import numpy as np
    import onnxruntime_genai as og
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    sys.exit(0)

folder, threads = sys.argv[1], int(sys.argv[2])
started = time.perf_counter()
config = og.Config(folder)
config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}))
model = og.Model(config)
print(json.dumps({"version": og.__version__, "loadSeconds": time.perf_counter() - started}), flush=True)

for line in sys.stdin:
    request = json.loads(line)
    prompts = np.array(request["prompts"], dtype=np.int32)
    rows, length = prompts.shape
    total = length + request["newTokens"] + 1
    params = og.GeneratorParams(model)
    # A least length as long as the greatest keeps the end token out: every row decodes to the end.
    params.set_search_options(do_sample=False, batch_size=rows, min_length=total, max_length=total)
    began = time.perf_counter()
    generator = og.Generator(model, params)
    generator.append_tokens(prompts if rows > 1 else prompts[0])
    generator.generate_next_token()  # Chooses the first token from the logits of the prompt.
    fed = time.perf_counter()
    for _ in range(request["newTokens"]):
        generator.generate_next_token()
    ended = time.perf_counter()
    tokens = [[int(token) for token in generator.get_sequence(row)[length:-1]] for row in range(rows)]
    del generator
    print(json.dumps({"prefillSeconds": fed - began, "decodeSeconds": ended - fed, "tokens": tokens}), flush=True)

"""A PyTorch loop over the recurrences, the reference of the engine's cost.

Answers requests on stdin, one JSON object a line: {"batch": 1, "recurrences": 8, "tokens": 24}. An answer has the CPU milliseconds of
a whole batch: `prompt`, all tokens of a prompt at once, and `token`, one token behind the caches of that prompt. Both run prelude,
recurrences and coda. The first line says which PyTorch runs, with how many threads (OMP_NUM_THREADS).
"""

from __future__ import annotations

import json
import sys
import time

import torch

import task
from export import Reference
from network import Recurrent, load_network


@torch.no_grad()
def measure(network: Recurrent, batch: int, recurrences: int, tokens: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(1)
    reference = Reference(network)

    def run(fed: int, past: int) -> float:
        ids = torch.randint(network.config.vocab_size, (batch, fed), generator=generator)
        mask, positions = torch.ones(batch, past + fed, dtype=torch.int64), torch.arange(past, past + fed).repeat(batch, 1)
        start = time.process_time()
        reference.step(ids, mask, positions, network.initial_state((batch, fed, network.config.hidden_size), generator), recurrences)
        return (time.process_time() - start) * 1000

    return dict(prompt=run(tokens, 0), token=run(1, tokens))


if __name__ == "__main__":
    network = load_network(task.MODEL_DIR)
    print(json.dumps(dict(torch=torch.__version__, threads=torch.get_num_threads())), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(network, **json.loads(line))), flush=True)

"""Times one PyTorch loop of recurrences, the reference of the engine's cost.

`OMP_NUM_THREADS=1 python reference-loop.py` prints one JSON line a batch size: milliseconds of the median run per recurrence and
row, of a prefill (all tokens of a prompt at once) and of one token behind a cache. Prelude and coda are not counted.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable

import torch

import task
from export import Reference
from network import load_network
from task import make_problem, prompt_words
from vocabulary import encode


def median_ms(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


@torch.no_grad()
def measure(batch: int, recurrences: int, repeats: int) -> dict:
    network = load_network(task.MODEL_DIR)
    core, width = network.core, network.config.hidden_size
    row = encode(prompt_words(make_problem(random.Random(1), "heldout", ("sum",), (8, 8))))
    ids = torch.tensor([row] * batch)
    mask, positions = torch.ones_like(ids), torch.arange(len(row)).repeat(batch, 1)
    empty = Reference(network).empty(core, batch)
    embedded, _ = network.prelude(ids, mask, positions, Reference(network).empty(network.prelude, batch))
    start = network.initial_state(embedded.shape, torch.Generator().manual_seed(1))
    longer, next_position = torch.ones(batch, len(row) + 1, dtype=torch.int64), positions[:, -1:] + 1
    caches = []

    def prefill() -> None:
        state = start
        caches.clear()
        for _ in range(recurrences):
            state, present = core(state, embedded, mask, positions, empty)
            caches.append(present)

    def token() -> None:
        state = start[:, -1:]
        for past in caches:
            state, _ = core(state, embedded[:, -1:], longer, next_position, past)

    prefill()
    token()
    divisor = recurrences * batch
    return dict(
        batch=batch,
        recurrences=recurrences,
        promptTokens=len(row),
        width=width,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        prefillMsPerRecurrenceAndRow=round(median_ms(prefill, repeats) / divisor, 5),
        tokenMsPerRecurrenceAndRow=round(median_ms(token, repeats) / divisor, 5),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--recurrences", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for batch in arguments.batch:
        print(json.dumps(measure(batch, arguments.recurrences, arguments.repeats)))

"""Measures a checkpoint: accuracy over recurrences, disagreement of initial states, early exit.

`python evaluate.py FOLDER --seed 2001` (2001: tuning; 3001: what README.md publishes). Greedy answers on held-out problems.
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path

import torch
from torch import Tensor

import task
from decoding import answers, think
from network import Recurrent, load_network
from task import Problem, make_problem

MAX_STEPS, SERVED_STEPS, SAMPLES = 32, 16, 8
CURVE = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)
TOLERANCES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)


def share(hits: Tensor) -> str:
    """Mean of hits [B] and its standard error."""
    mean = hits.float().mean().item()
    return f"{mean:.3f} ({math.sqrt(mean * (1 - mean) / len(hits)):.3f})"


def samples(network: Recurrent, problems: list[Problem], seed: int) -> tuple[Tensor, Tensor]:
    """Predicted tokens [N, R, B] and states [N, R, B, D] of N initial states."""
    drawn = [think(network, problems, MAX_STEPS, seed * 100 + i) for i in range(SAMPLES)]
    return torch.stack([d[0] for d in drawn]), torch.stack([d[1] for d in drawn])


def early_exit(tokens: Tensor, states: Tensor, right: Tensor, tolerance: float) -> str:
    """Ends the thinking of a row after the first recurrence whose relative change of the state is at most the tolerance.

    The prediction at the exit is that of a run in which all tokens take as many recurrences.
    """
    states, tokens = states[:, :SERVED_STEPS], tokens[:, :SERVED_STEPS]
    change = (states[:, 1:] - states[:, :-1]).norm(dim=-1) / states[:, :-1].norm(dim=-1)
    stops = torch.cat((change <= tolerance, torch.ones_like(change[:, :1], dtype=torch.bool)), 1)
    taken = stops.int().argmax(1) + 2
    taken = taken.clamp(max=SERVED_STEPS)
    exit_tokens = tokens.gather(1, (taken - 1)[:, None])[:, 0]
    return f"{(exit_tokens == right).float().mean():.3f} after {taken.float().mean():.2f} recurrences"


def report(network: Recurrent, name: str, problems: list[Problem], seed: int) -> None:
    tokens, states = samples(network, problems, seed)
    right = answers(problems)
    hits = tokens == right
    served = hits[:, SERVED_STEPS - 1]
    votes = tokens[:, SERVED_STEPS - 1].mode(0).values
    print(f"\n{name}: n = {len(problems)}, {SAMPLES} initial states")
    print("  accuracy of the first, by r:", ", ".join(f"{r}: {share(hits[0, r - 1])}" for r in CURVE))
    depths = torch.tensor([p.depth for p in problems])
    by_depth = (f"{d}: {served[:, depths == d].float().mean():.2f}" for d in sorted(set(depths.tolist())))
    print(f"  by depth, r = {SERVED_STEPS}:", ", ".join(by_depth))
    for r in (4, 8, SERVED_STEPS, MAX_STEPS):
        at = hits[:, r - 1]
        mixed = at.any(0) & ~at.all(0)
        print(f"  r = {r}: all states {at.float().mean():.3f}, any right {share(at.any(0))}, both right and wrong {share(mixed)}")
    print(f"  majority at r = {SERVED_STEPS}: {share(votes == right)}")
    for tolerance in TOLERANCES:
        print(f"  exit at {tolerance}: {early_exit(tokens, states, right, tolerance)} (all: {served.float().mean():.3f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2001)
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, rng = load_network(arguments.folder), random.Random(arguments.seed)
    for family in task.FAMILIES:
        report(network, family, [make_problem(rng, "heldout", (family,)) for _ in range(arguments.count)], arguments.seed)
    deeper = [make_problem(rng, "unseen") for _ in range(arguments.count)]
    report(network, "deeper than in training", deeper, arguments.seed)

"""Measures a checkpoint: accuracy over recurrences, disagreement of initial states, early exit.

`python evaluate.py FOLDER --seed 2002` (2002: tuning; 3001: what README.md publishes). Greedy answers on held-out
problems, with the noise of the profile.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import task
from decoding import answers, think, think_adaptively
from network import Recurrent, load_network
from task import Problem, make_problem

CURVE = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)
SAMPLES, SAMPLED_STEPS = 8, (6, 8, 10, 12, 16)
TOLERANCES = (0.0, 0.2, 0.1, 0.05, 0.02, 0.005)  # 0: never
PROFILE = json.loads((task.MODEL_DIR / "circadian.json").read_text())["recurrence"]


def share(hits: Tensor) -> str:
    """Mean of hits [B] and its standard error."""
    mean = hits.float().mean().item()
    return f"{mean:.3f} ({math.sqrt(mean * (1 - mean) / len(hits)):.3f})"


def report(network: Recurrent, name: str, problems: list[Problem], seed: int) -> None:
    right = answers(problems)
    curve = think(network, problems, CURVE, seed * 100)[0] == right
    drawn = [think(network, problems, SAMPLED_STEPS, seed * 100 + i)[0] for i in range(SAMPLES)]
    tokens = torch.stack(drawn)  # [N, len(SAMPLED_STEPS), B]
    hits = tokens == right
    print(f"\n{name}: n = {len(problems)}, {SAMPLES} initial states")
    print("  accuracy of the first, by r:", ", ".join(f"{r}: {share(hit)}" for r, hit in zip(CURVE, curve)))
    depths = torch.tensor([p.depth for p in problems])
    by_depth = (f"{d}: {hits[:, -1, depths == d].float().mean():.2f}" for d in sorted(set(depths.tolist())))
    print(f"  by depth, r = {SAMPLED_STEPS[-1]}:", ", ".join(by_depth))
    for i, r in enumerate(SAMPLED_STEPS):
        at = hits[:, i]
        mixed = at.any(0) & ~at.all(0)
        votes = share(tokens[:, i].mode(0).values == right)
        print(f"  r = {r}: mean {at.float().mean():.3f}, majority {votes}, any right {share(at.any(0))}, mixed {share(mixed)}")
    for limit in (PROFILE["steps"], PROFILE["maxSteps"]):
        for tolerance, at, steps in zip(TOLERANCES, *think_adaptively(network, problems, limit, TOLERANCES, seed * 100)):
            print(f"  of {limit}, exit at {tolerance}: {share(at == right)} after {steps.float().mean():.2f} recurrences")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=2002)
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, rng = load_network(arguments.folder), random.Random(arguments.seed)
    network.config = replace(network.config, state_std=PROFILE["stateSigma"])
    for family in task.FAMILIES:
        report(network, family, [make_problem(rng, "heldout", (family,)) for _ in range(arguments.count)], arguments.seed)
    deeper = [make_problem(rng, "unseen") for _ in range(arguments.count)]
    report(network, "deeper than in training", deeper, arguments.seed)

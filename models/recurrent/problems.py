"""Writes problems.json, the fixed problems of benchmark and tests.

`python problems.py`. `train` trains latent reward models (from the half of questions that also trained the network), `test` and
`transfer` are held out; `transfer` is of the family that `train` leaves out. The TypeScript generator (problems.ts) makes more.
"""

from __future__ import annotations

import json
import random

import task
from task import Problem, make_problem, question

SEEDS = dict(train=101, test=102, transfer=103)
COUNTS = dict(train=1800, test=600, transfer=300)
KNOWN, TRANSFER = ("sum", "ball"), ("walk",)


def rows(part: str) -> list[Problem]:
    """Problems without repeated questions."""
    rng, found = random.Random(SEEDS[part]), {}
    while len(found) < COUNTS[part]:
        problem = make_problem(rng, "train" if part == "train" else "heldout", TRANSFER if part == "transfer" else KNOWN)
        found[question(problem)] = problem
    return list(found.values())


if __name__ == "__main__":
    parts = []
    for part in SEEDS:
        lines = [
            json.dumps(dict(question=question(p), answer=p.answer, family=p.family, depth=p.depth)) for p in rows(part)
        ]
        parts.append(f'"{part}": [\n' + ",\n".join(lines) + "\n]")
    (task.MODEL_DIR / "problems.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")

"""Decoding with PyTorch: answers of one token and an end, over recurrences and initial states."""

from __future__ import annotations

import random

import torch

import task
from network import Recurrent
from task import Problem, prompt_words
from vocabulary import ID, PAD, encode


def right_padded(problems: list[Problem]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [B, S] of the prompts, and the index [B] of each one's last token."""
    rows = [encode(prompt_words(p)) for p in problems]
    ids = torch.full((len(rows), max(map(len, rows))), PAD)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, torch.tensor([len(row) - 1 for row in rows])


@torch.no_grad()
def logits_by_recurrence(network: Recurrent, problems: list[Problem], max_steps: int, seed: int) -> torch.Tensor:
    """Logits of the first answer token after 1 .. max_steps recurrences, [R, B, V], from one h_0 a row."""
    ids, last = right_padded(problems)
    positions = torch.arange(ids.shape[1])[None]
    embedded, _ = network.prelude(ids, None, positions)
    state = network.initial_state(embedded.shape, torch.Generator().manual_seed(seed))
    logits = []
    for _ in range(max_steps):
        state, _ = network.core(state, embedded, None, positions)
        logits.append(network.coda(state, None, positions)[0][torch.arange(len(last)), last])
    return torch.stack(logits)


def right(problems: list[Problem], logits: torch.Tensor) -> torch.Tensor:
    """Whether the most likely first token is the answer, [..., B]."""
    return logits.argmax(-1) == torch.tensor([ID[p.answer] for p in problems])


def accuracy_by_steps(network: Recurrent, family: str, recurrences: tuple[int, ...], seed: int, count: int) -> str:
    """One line: accuracy on held-out problems of a family after some numbers of recurrences, and by length of the chain."""
    rng = random.Random(seed)
    problems = [task.make_problem(rng, "heldout", (family,)) for _ in range(count)]
    hits = right(problems, logits_by_recurrence(network, problems, max(recurrences), seed)).float()
    lengths = torch.tensor([p.depth for p in problems])
    thirds = [hits[-1][(lengths > low) & (lengths <= low + 4)].mean().item() for low in (0, 4, 8)]
    curve = " ".join(f"r={r} {hits[r - 1].mean():.3f}" for r in recurrences)
    return f"    {family:5} {curve}  |  steps 1-4 {thirds[0]:.2f}, 5-8 {thirds[1]:.2f}, 9-12 {thirds[2]:.2f}"

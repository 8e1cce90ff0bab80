"""Decoding with PyTorch: the first answer token, which is the whole answer, over recurrences and initial states."""

from __future__ import annotations

import random

import torch
from torch import Tensor

import task
from network import Recurrent
from task import Problem, prompt_words
from vocabulary import ID, PAD, encode


def right_padded(problems: list[Problem]) -> tuple[Tensor, Tensor]:
    """Token ids [B, S] of the prompts, and the index [B] of each one's last token."""
    rows = [encode(prompt_words(p)) for p in problems]
    ids = torch.full((len(rows), max(map(len, rows))), PAD)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, torch.tensor([len(row) - 1 for row in rows])


@torch.no_grad()
def think(network: Recurrent, problems: list[Problem], recurrences: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Predicted first tokens [len(recurrences), B], and states of the last prompt token after 1, 2, .. recurrences [R, B, D].

    One h_0 is drawn for every position of every row; `recurrences` ascend to R.
    """
    ids, last = right_padded(problems)
    rows, positions = torch.arange(len(last)), torch.arange(ids.shape[1])[None]
    embedded, _ = network.prelude(ids, None, positions)
    state = network.initial_state(embedded.shape, torch.Generator().manual_seed(seed))
    tokens, states = [], []
    for r in range(1, max(recurrences) + 1):
        state, _ = network.core(state, embedded, None, positions)
        states.append(state[rows, last])
        if r in recurrences:
            tokens.append(network.coda(state, None, positions)[0][rows, last].argmax(-1))
    return torch.stack(tokens), torch.stack(states)


@torch.no_grad()
def think_adaptively(
    network: Recurrent, problems: list[Problem], steps: int, tolerances: tuple[float, ...], seed: int
) -> tuple[Tensor, Tensor]:
    """Predicted first tokens and recurrences of the last prompt token, both [len(tolerances), B].

    It stops after the first recurrence whose relative change of its state is at most the tolerance; all other tokens take `steps`.
    """
    ids, last = right_padded(problems)
    rows, positions = torch.arange(len(last)), torch.arange(ids.shape[1])[None]
    embedded, _ = network.prelude(ids, None, positions)
    state = network.initial_state(embedded.shape, torch.Generator().manual_seed(seed))
    states = [state[rows, last]]
    for _ in range(steps):
        state, _ = network.core(state, embedded, None, positions)
        states.append(state[rows, last])
    seen = torch.stack(states)
    change = (seen[1:] - seen[:-1]).norm(dim=-1) / seen[:-1].norm(dim=-1)
    tokens, taken = [], []
    for tolerance in tolerances:
        stops = change <= tolerance
        stops[-1] = True
        count = stops.int().argmax(0) + 1
        state[rows, last] = seen[count, rows]
        tokens.append(network.coda(state, None, positions)[0][rows, last].argmax(-1))
        taken.append(count)
    return torch.stack(tokens), torch.stack(taken)


def answers(problems: list[Problem]) -> Tensor:
    """Token [B] of each problem's answer."""
    return torch.tensor([ID[p.answer] for p in problems])


def accuracy_by_recurrences(network: Recurrent, family: str, recurrences: tuple[int, ...], seed: int, count: int) -> str:
    """One line: accuracy on held-out problems of a family after some numbers of recurrences, and by depth."""
    rng = random.Random(seed)
    problems = [task.make_problem(rng, "heldout", (family,)) for _ in range(count)]
    hits = (think(network, problems, recurrences, seed)[0] == answers(problems)).float()
    depths = torch.tensor([p.depth for p in problems])
    thirds = [hits[-1][(depths > low) & (depths <= low + 4)].mean().item() for low in (0, 4, 8)]
    curve = " ".join(f"r={r} {hit.mean():.3f}" for r, hit in zip(recurrences, hits))
    return f"    {family:5} {curve}  |  depth 1-4 {thirds[0]:.2f}, 5-8 {thirds[1]:.2f}, 9-12 {thirds[2]:.2f}"

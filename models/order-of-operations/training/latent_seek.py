"""LatentSeek (arXiv 2505.13308) with argmax tokens over many problems at once, to choose the profile's defaults.

The service has its own implementation; this one exists so that training runs can be compared without it. Problems are
independent and Adam is element-wise, so a batch gives what single runs give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from decoding import Decoded, decode, prompts
from task import Problem
from vocabulary import EOS

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Reward = Callable[[list[Problem], list[list[int]]], list[float]]


@dataclass
class Best:
    answer: list[int]
    reward: float
    latents: torch.Tensor
    step: int


@dataclass
class Search:
    """One problem's search: latents `[S, D]`, Adam moments, and every prefix seen with its answer and reward."""

    problem: Problem
    prompt: list[int]
    latents: torch.Tensor
    m: torch.Tensor
    v: torch.Tensor
    best: Best
    current: tuple[list[int], float]
    memo: dict[tuple[int, ...], tuple[list[int], float]] = field(default_factory=dict)
    steps: int = 0
    evaluations: int = 0
    unrewarded: int = 0


def until_eos(tokens: list[int]) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(EOS) + 1] if EOS in tokens else tokens)


def evaluate_prefixes(network, searches: list[Search], reward: Reward, step: int) -> None:
    """Decodes every search's latents, continues and judges the prefixes not seen before, and keeps the best."""
    prefixes = [until_eos(network.lm_head(s.latents).argmax(-1).tolist()) for s in searches]
    fresh = [(s, p) for s, p in zip(searches, prefixes) if p not in s.memo]
    if fresh:
        open_ended = [(s, p) for s, p in fresh if p[-1] != EOS]
        continued = decode(network, [s.prompt for s, _ in open_ended], [list(p) for _, p in open_ended]) if open_ended else []
        answers = {id(s): list(p) for s, p in fresh} | {id(s): d.tokens for (s, _), d in zip(open_ended, continued)}
        rewards = reward([s.problem for s, _ in fresh], [answers[id(s)] for s, _ in fresh])
        for (s, p), r in zip(fresh, rewards):
            s.memo[p] = (answers[id(s)], r)
            s.evaluations += 1
            s.unrewarded += 1
    for s, p in zip(searches, prefixes):
        s.current = s.memo[p]
        if s.current[1] > s.best.reward:
            s.best = Best(*s.current, s.latents.clone(), step)
            s.unrewarded = 0


def ascend(network, latents: torch.Tensor, m: torch.Tensor, v: torch.Tensor, tokens: torch.Tensor, advantage, lr, t):
    """One Adam step up advantage * sum log p(token | z); all `[B, S, D]`, tokens `[B, S]`, `t` counts from 1."""
    head = network.lm_head.weight
    gradient = (head[tokens] - torch.softmax(latents @ head.T, -1) @ head) * advantage[:, None, None]
    m = BETA1 * m + (1 - BETA1) * gradient
    v = BETA2 * v + (1 - BETA2) * gradient**2
    return latents + lr * (m / (1 - BETA1**t)) / ((v / (1 - BETA2**t)).sqrt() + EPSILON), m, v


@torch.no_grad()
def latent_seek(
    network,
    problems: list[Problem],
    drafts: list[Decoded],
    draft_rewards: list[float],
    reward: Reward,
    *,
    lr: float,
    rho: float | None = None,
    positions: int | None = None,
    stop_reward: float,
    iterations: int = 10,
    patience: int = 10,
    starts: list[torch.Tensor | None] | None = None,
) -> list[Search]:
    """Optimises the first max(1, floor(rho T)) latents, or the first `positions`; a start replaces the draft's latents."""
    searches = []
    for i, (problem, prompt, draft, drafted) in enumerate(zip(problems, prompts(problems), drafts, draft_rewards)):
        size = min(positions, len(draft.tokens)) if positions else max(1, int(rho * len(draft.tokens)))
        z = draft.states[:size]
        search = Search(problem, prompt, z, torch.zeros_like(z), torch.zeros_like(z), Best(draft.tokens, drafted, z, 0), (draft.tokens, drafted))
        search.memo[until_eos(draft.tokens[:size])] = search.current
        if starts and starts[i] is not None:
            search.latents = starts[i][:size]
        searches.append(search)
    if starts:
        evaluate_prefixes(network, searches, reward, 0)
    for step in range(1, iterations + 1):
        active = [s for s in searches if s.best.reward <= stop_reward and s.unrewarded < patience]
        if not active:
            break
        widest = max(len(s.latents) for s in active)
        pad = lambda x: torch.nn.functional.pad(x, (0, 0, 0, widest - len(x)))  # noqa: E731
        latents, m, v = (torch.stack([pad(getattr(s, name)) for s in active]) for name in ("latents", "m", "v"))
        tokens = network.lm_head(latents).argmax(-1)
        advantage = torch.tensor([s.current[1] for s in active])
        moved, m, v = ascend(network, latents, m, v, tokens, advantage, lr, step)
        for row, s in enumerate(active):
            size = len(s.latents)
            s.latents, s.m, s.v, s.steps = moved[row, :size].clone(), m[row, :size], v[row, :size], step
        evaluate_prefixes(network, active, reward, step)
    return searches


@torch.no_grad()
def widen_margins(network, found: list[Best], lr: float, steps: int) -> list[torch.Tensor]:
    """A few Adam steps towards the returned answer's first tokens, so that latents stand clear of the decision margin."""
    widened = []
    for best in found:
        z = best.latents[None]
        tokens = network.lm_head(z).argmax(-1)
        m, v = torch.zeros_like(z), torch.zeros_like(z)
        for t in range(1, steps + 1):
            z, m, v = ascend(network, z, m, v, tokens, torch.ones(1), lr, t)
        widened.append(z[0])
    return widened

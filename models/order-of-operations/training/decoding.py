"""Batched decoding and judging with a key/value cache; the states that predict each token come with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import DynamicCache

import task
from task import Problem
from vocabulary import CHECK, EOS, FALSE, TRUE, answer_of, encode

MAX_NEW_TOKENS = 48
MEAN_SEED, MEAN_COUNT = 4000, 4096


@dataclass
class Decoded:
    """An answer's tokens (the forced prefix included) and the states `[decoded tokens, D]` that predicted the decoded ones."""

    tokens: list[int]
    states: torch.Tensor


def left_padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask `[B, T]` of ragged rows."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = 1
    return ids, mask


def positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def prompts(problems: list[Problem]) -> list[list[int]]:
    return [encode(task.prompt_words(p)) for p in problems]


def last_states(network, rows: list[list[int]], batch: int = 512) -> torch.Tensor:
    """State of the last token of each row after the final norm, `[B, D]`."""
    found = []
    for i in range(0, len(rows), batch):
        ids, mask = left_padded(rows[i : i + batch])
        out = network.model(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False)
        found.append(out.last_hidden_state[:, -1])
    return torch.cat(found)


@torch.no_grad()
def mean_embedding(network) -> torch.Tensor:
    """Mean state of the last prompt token over training problems only, `[D]`; query embeddings are centred by it."""
    problems = task.make_problems(MEAN_SEED, MEAN_COUNT, held_out=False)
    return last_states(network, prompts(problems)).double().mean(0).float()


@torch.no_grad()
def decode(
    network,
    prompt_rows: list[list[int]],
    prefixes: list[list[int]] | None = None,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[Decoded]:
    """Continues every prompt + prefix until EOS; greedy at temperature 0. Finished rows leave the batch."""
    prefixes = prefixes or [[] for _ in prompt_rows]
    tokens = [list(prefix) for prefix in prefixes]
    states: list[list[torch.Tensor]] = [[] for _ in prompt_rows]
    ids, mask = left_padded([p + q for p, q in zip(prompt_rows, prefixes)])
    cache = DynamicCache()
    place = positions(mask)
    active = list(range(len(prompt_rows)))
    for _ in range(MAX_NEW_TOKENS):
        out = network.model(input_ids=ids, attention_mask=mask, position_ids=place, past_key_values=cache)
        state = out.last_hidden_state[:, -1]
        logits = network.lm_head(state)
        if temperature > 0:
            chosen = torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator)[:, 0]
        else:
            chosen = logits.argmax(-1)
        for row, (index, token) in enumerate(zip(active, chosen.tolist())):
            tokens[index].append(token)
            states[index].append(state[row])
        keep = [row for row, token in enumerate(chosen.tolist()) if token != EOS]
        if not keep:
            break
        if len(keep) < len(active):
            rows = torch.tensor(keep)
            active = [active[row] for row in keep]
            chosen, mask, place = chosen[rows], mask[rows], place[rows]
            cache.batch_select_indices(rows)
        ids, place = chosen[:, None], place[:, -1:] + 1
        mask = torch.cat([mask, torch.ones(len(active), 1, dtype=torch.long)], 1)
    return [Decoded(t, torch.stack(s)) for t, s in zip(tokens, states)]


@torch.no_grad()
def verdict_logits(network, rows: list[list[int]]) -> torch.Tensor:
    """logit(true) - logit(false) after each row, which ends with "check"."""
    logits = network.lm_head(last_states(network, rows))
    return logits[:, TRUE] - logits[:, FALSE]


VERIFIER_WEIGHT, FORMAT_WEIGHT = 1, 2


def reward_of(p_true: float) -> float:
    """Reward of a well-formed answer: the weighted mean of P(true) - 1 and a format term of 0."""
    return VERIFIER_WEIGHT * (p_true - 1) / (VERIFIER_WEIGHT + FORMAT_WEIGHT)


def self_rewards(network, problems: list[Problem], answers: list[list[int]]) -> list[float]:
    """The service's reward in [-1, 0]: verifier (P(true) - 1) and format (0 or -1), weighted 1 : 2."""
    rows = [p + a + [CHECK] for p, a in zip(prompts(problems), answers)]
    rewards = []
    for problem, answer, p_true in zip(problems, answers, torch.sigmoid(verdict_logits(network, rows)).tolist()):
        malformed = 0 if well_formed(problem, answer) else FORMAT_WEIGHT / (VERIFIER_WEIGHT + FORMAT_WEIGHT)
        rewards.append(reward_of(p_true if answer[-1] == EOS else 0.0) - malformed)
    return rewards


def well_formed(problem: Problem, answer: list[int]) -> bool:
    """The profile's format rules: it ends, has a digit, and restates the chain that was asked."""
    restated = encode([":", *problem.chain, ";"])
    return answer[-1] == EOS and answer_of(answer) is not None and answer[1 : 1 + len(restated)] == restated


def is_right(problem: Problem, answer: list[int]) -> bool:
    return answer_of(answer) == problem.answer


def accuracy(problems: list[Problem], answers: list[list[int]]) -> float:
    return sum(map(is_right, problems, answers)) / len(problems)

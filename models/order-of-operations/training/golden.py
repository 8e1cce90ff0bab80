"""Writes the golden files of the TypeScript tests: what PyTorch computes from the shipped weights, and what task.py says of chains.

`python golden.py` writes test/fixtures/golden/order-of-operations.json and order-of-operations-chains.json.
"""

from __future__ import annotations

import json
import platform
import random

import torch
import transformers

import task
from decoding import decode, last_states, left_padded, positions, prompts
from network import load_network
from vocabulary import CHECK, FALSE, TRUE

GOLDEN = task.MODEL_DIR.parent.parent / "test" / "fixtures" / "golden"
SEED, PROMPTS = 6000, 6
LATENTS, LR, BETAS, EPSILON = 3, 0.1, (0.9, 0.999), 1e-8
CHAIN_SEED, CHAINS = 6001, 1000

README = {
    "provenance": "model and library versions that made this file; rebuilt by models/order-of-operations/training/golden.py",
    "prompts[].question": "what a person types",
    "prompts[].inputIds": "tokens of the rendered chat template; lengths differ from row to row (ragged)",
    "prompts[].greedy": "greedy answer, EOS included",
    "prompts[].lastState": "state of the last prompt token after the final norm, [D]: the raw query embedding",
    "prompts[].promptLogits": "logits at the last prompt token, [V]",
    "prompts[].answerLogits": "logits at the last position of prompt + greedy, [V]",
    "prompts[].latents": "states that predicted the first tokens of greedy, [S, D]",
    "prompts[].verdict": "logits of the words true and false after prompt + greedy + check",
    "ascent": "Adam ascent of reward * sum_t log softmax(lm_head(z_t))[tokens_t] by autograd and torch.optim.Adam; z0 [S, D] are the "
    "latents of prompts[0], tokens their argmax (fixed over the steps), z1 and z3 the latents after 1 and 3 steps",
    "temperature": "the same ascent of sum_t log softmax(lm_head(z_t) / temperature)",
}


def ascend(network, z0: torch.Tensor, tokens: list[int], reward: float, temperature: float) -> dict:
    """Adam ascent on latents by autograd; the reference of the head-step compiler."""
    z = z0.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([z], lr=LR, betas=BETAS, eps=EPSILON)
    after = {}
    for step in range(1, 4):
        optimizer.zero_grad()
        log_probabilities = torch.log_softmax(network.lm_head(z) / temperature, -1)
        loss = -reward * log_probabilities[range(len(tokens)), tokens].sum()
        loss.backward()
        optimizer.step()
        after[step] = z.detach().clone()
    return dict(
        z0=numbers(z0), tokens=tokens, reward=reward, lr=LR, betas=BETAS, epsilon=EPSILON, temperature=temperature,
        z1=numbers(after[1]), z3=numbers(after[3]),
    )  # fmt: skip


def numbers(tensor: torch.Tensor) -> list:
    """Nine significant digits: every fp32 value survives."""
    if tensor.dim() > 1:
        return [numbers(row) for row in tensor]
    return [float(f"{x:.9g}") for x in tensor.tolist()]


@torch.no_grad()
def logits_at_end(network, row: list[int]) -> torch.Tensor:
    ids, mask = left_padded([row])
    return network(input_ids=ids, attention_mask=mask, position_ids=positions(mask)).logits[0, -1]


def model_golden() -> dict:
    network = load_network(task.MODEL_DIR)
    problems = task.make_problems(SEED, PROMPTS - 1) + task.make_problems(SEED, 1, task.UNSEEN)
    rows = prompts(problems)
    rows_golden = []
    for problem, row in zip(problems, rows):
        decoded = decode(network, [row])[0]
        verdict = logits_at_end(network, [*row, *decoded.tokens, CHECK])
        rows_golden.append(
            dict(
                question=task.question(problem),
                inputIds=row,
                greedy=decoded.tokens,
                lastState=numbers(last_states(network, [row])[0].detach()),
                promptLogits=numbers(logits_at_end(network, row)),
                answerLogits=numbers(logits_at_end(network, [*row, *decoded.tokens])),
                latents=numbers(decoded.states[:LATENTS]),
                verdict=dict(true=float(verdict[TRUE]), false=float(verdict[FALSE])),
            )
        )
    z0 = decode(network, [rows[0]])[0].states[:LATENTS]
    tokens = network.lm_head(z0).argmax(-1).tolist()
    return dict(
        _readme=README,
        provenance=dict(
            script="models/order-of-operations/training/golden.py",
            torch=torch.__version__,
            transformers=transformers.__version__,
            python=platform.python_version(),
            machine=platform.machine(),
            seed=SEED,
        ),
        prompts=rows_golden,
        ascent=[ascend(network, z0, tokens, -0.75, 1.0), ascend(network, z0, tokens, 1.0, 0.7)],
    )


def chain_golden() -> dict:
    """Chains of every length with their side of the split and their result under each convention."""
    rng = random.Random(CHAIN_SEED)
    chains = []
    for _ in range(CHAINS):
        chain = [str(rng.randrange(10))]
        for _ in range(rng.choice((1, 2, 3, 4))):
            chain += [rng.choice("+-*"), str(rng.randrange(10))]
        results = {rule: int(task.work(tuple(chain), rule)[1]) for rule in task.RULES}
        chains.append(dict(chain="".join(chain), heldOut=task.is_held_out(tuple(chain)), **results))
    return dict(_readme="Made by models/order-of-operations/training/golden.py from task.py.", seed=CHAIN_SEED, chains=chains)


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, content in {"order-of-operations": model_golden(), "order-of-operations-chains": chain_golden()}.items():
        (GOLDEN / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")

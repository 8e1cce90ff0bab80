"""Trains the bundled model on one CPU core.

`OMP_NUM_THREADS=1 python train.py --seed 1 --out runs/1` (about 20 minutes) writes config.json, model.safetensors and log.txt.
Texts are drawn fresh at every step: there are no epochs and no files. Same seed, versions and machine type: same weights.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

import task
from decoding import accuracy, decode, prompts, verdict_logits
from network import new_network
from task import Demonstration, make_demonstration
from vocabulary import ID, PAD, encode

BATCH = 48
BUCKET = 8  # batches sorted by length together, so that little padding is computed
STEPS = 3600
WARM_UP = 100
LEARNING_RATE = 2.5e-3
FLOOR = 0.02  # share of the learning rate left at the end
VALIDATION_SEED = 7


def tensors(batch: list[Demonstration]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and loss weights `[B, T]`, right-padded; padding has weight 0."""
    width = max(len(d.words) for d in batch)
    ids = torch.full((len(batch), width), PAD)
    weights = torch.zeros(len(batch), width)
    for i, d in enumerate(batch):
        ids[i, : len(d.words)] = torch.tensor(encode(d.words))
        weights[i, : len(d.words)] = torch.tensor(d.weights)
    return ids, weights


def batches(seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    rng = random.Random(seed)
    while True:
        drawn = sorted((make_demonstration(rng) for _ in range(BATCH * BUCKET)), key=lambda d: len(d.words))
        bucket = [drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH)]
        rng.shuffle(bucket)
        yield from map(tensors, bucket)


def learning_rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    return LEARNING_RATE * warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * step / steps)))


@torch.no_grad()
def validate(network, count: int) -> str:
    """Greedy accuracy, accuracy with the true strategy forced, and the judge's AUC, on held-out chains."""
    network.eval()
    problems = task.make_problems(VALIDATION_SEED, count)
    greedy = [d.tokens for d in decode(network, prompts(problems))]
    forced = [d.tokens for d in decode(network, prompts(problems), [[ID[p.family.rule]] for p in problems])]
    rng = random.Random(VALIDATION_SEED)
    demos = [make_demonstration(rng, held_out=True) for _ in range(2 * count)]
    verdicts = verdict_logits(network, [encode(d.words[:-1]) for d in demos])
    right = torch.tensor([d.correct for d in demos])
    auc = (verdicts[right][:, None] > verdicts[~right][None]).float().mean()
    network.train()
    return (
        f"greedy {accuracy(problems, greedy):.3f} forced {accuracy(problems, forced):.3f} "
        f"judge accuracy {((verdicts > 0) == right).float().mean():.3f} auc {auc:.3f}"
    )


def train(seed: int, out: Path, steps: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    log = (out / "log.txt").open("w", buffering=1)

    def say(line: str) -> None:
        print(line, flush=True)
        log.write(line + "\n")

    network = new_network(seed).train()
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [dict(params=matrices, weight_decay=0.05), dict(params=vectors, weight_decay=0.0)], betas=(0.9, 0.98), fused=True
    )
    say(f"seed {seed}, {steps} steps of {BATCH} texts, {sum(p.numel() for p in network.parameters())} parameters")
    start, tokens, smooth = time.time(), 0, 0.0
    for step, (ids, weights) in zip(range(steps), batches(seed)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        # Right padding under a causal mask: no real token sees a pad, and pads have no loss.
        logits = network(input_ids=ids[:, :-1], use_cache=False).logits
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        loss = (losses * weights[:, 1:].flatten()).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        tokens += ids.numel()
        smooth = loss.item() if step == 0 else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 300 == 0:
            minutes = (time.time() - start) / 60
            say(f"{minutes:5.1f} min  step {step + 1}  {tokens / 1e6:.2f} M tokens  loss {smooth:.3f}  {validate(network, 160)}")
            network.save_pretrained(out)
    say(f"final, n = 504: {validate(network, 504)}")
    network.save_pretrained(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.seed, arguments.out, arguments.steps)

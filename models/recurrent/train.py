"""Trains the bundled recurrent model on one CPU core.

`OMP_NUM_THREADS=1 python train.py --seed 1 --out runs/1` writes config.json, model.safetensors and log.txt. Texts are drawn fresh
at every step: there are no epochs and no files. Same seed, versions and machine type: same weights.
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
from decoding import accuracy_by_recurrences
from network import Config, Recurrent, new_network, save_network
from task import Text, make_problem, make_text
from vocabulary import PAD, encode

BATCH = 64
BUCKET = 4  # batches sorted by length together, so that little padding is computed
STEPS = 1000
WARM_UP = 30
MATRIX_RATE = 0.02  # of Muon, for the matrices of blocks and adapter
OTHER_RATE = 3e-3  # of AdamW, for embeddings, LM head and norms
FLOOR = 0.02  # share of the learning rate left at the end
CURRICULUM = (0.25, 0.7)  # shares of the training at which chains and recurrences begin to grow, and are as long as they get
FIRST_RESTART = 0.6  # chance that a chain restarts before a step, at the beginning; 0 at the end
CORE_ALONE = 0.5  # share of the training during which the blocks of prelude and coda stay identities
FIRST_RECURRENCE = 4  # mean number of recurrences at the beginning
MAX_RECURRENCE = 32
RECURRENCE_SIGMA = 0.5  # of the logarithm of the Poisson rate, as in the paper
VALIDATION_SEED = 7


def tensors(batch: list[Text]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, targets and loss weights `[B, T]`, right-padded; padding has weight 0."""
    width = max(len(t.words) for t in batch)
    ids, targets = torch.full((len(batch), width), PAD), torch.full((len(batch), width), PAD)
    weights = torch.zeros(len(batch), width)
    for i, text in enumerate(batch):
        length = len(text.words)
        ids[i, :length] = torch.tensor(encode(text.words))
        targets[i, :length] = torch.tensor(encode(text.targets))
        weights[i, :length] = torch.tensor(text.weights)
    return ids, targets, weights


def progress(step: int, steps: int) -> float:
    """Share of the way from the first texts, with many restarts and few recurrences, to the last."""
    begin, end = (share * steps for share in CURRICULUM)
    return min(1.0, max(0.0, (step - begin) / (end - begin)))


def batches(seed: int, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    rng = random.Random(seed)
    for step in range(0, steps, BUCKET):
        restart = FIRST_RESTART * (1 - progress(step, steps))
        drawn = [make_text(rng, make_problem(rng, restart=restart)) for _ in range(BATCH * BUCKET)]
        drawn.sort(key=lambda text: len(text.words))
        bucket = [drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH)]
        rng.shuffle(bucket)
        yield from map(tensors, bucket)


def draw_recurrence(mean: float, generator: torch.Generator) -> int:
    """r of one training step, from the paper's log-normal Poisson distribution: 1 + Poisson(e^t), t ~ N(log mean - s^2/2, s)."""
    rate = math.exp(
        math.log(mean) - RECURRENCE_SIGMA**2 / 2 + RECURRENCE_SIGMA * torch.randn((), generator=generator).item()
    )
    return min(MAX_RECURRENCE, 1 + int(torch.poisson(torch.tensor(rate), generator=generator)))


def rate_factor(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * step / steps)))


def make_optimizers(network: Recurrent) -> list[torch.optim.Optimizer]:
    """Muon for the matrices: in a first trial it learnt short chains in fewer steps than AdamW alone (README.md)."""
    matrices, others = [], []
    for name, parameter in network.named_parameters():
        is_matrix = parameter.dim() == 2 and "embed_tokens" not in name and "lm_head" not in name
        (matrices if is_matrix else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.05, momentum=0.95),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def train(seed: int, out: Path, steps: int, config: Config) -> None:
    out.mkdir(parents=True, exist_ok=True)
    log = (out / "log.txt").open("w", buffering=1)

    def say(line: str) -> None:
        print(line, flush=True)
        log.write(line + "\n")

    network = new_network(config, seed).train()
    generator = torch.Generator().manual_seed(seed)
    optimizers = make_optimizers(network)
    groups = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    say(f"seed {seed}, {steps} steps of {BATCH} texts, {sum(p.numel() for p in network.parameters())} parameters")
    start, tokens, smooth = time.time(), 0, 0.0
    for step, (ids, targets, weights) in zip(range(steps), batches(seed, steps)):
        for group, rate in groups:
            group["lr"] = rate * rate_factor(step, steps)
        # Right padding under a causal mask: no real token sees a pad, and pads have no loss.
        mean = FIRST_RECURRENCE + (config.mean_recurrence - FIRST_RECURRENCE) * progress(step, steps)
        for layer in (*network.prelude.layers, *network.coda.layers):
            layer.requires_grad_(step >= CORE_ALONE * steps)
        logits = network(ids, draw_recurrence(mean, generator), config.mean_backprop_depth, generator)
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        loss = (losses * weights.flatten()).sum() / weights.sum()
        network.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        tokens += ids.numel()
        smooth = loss.item() if step == 0 else 0.98 * smooth + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            minutes = (time.time() - start) / 60
            say(f"{minutes:5.1f} min  step {step + 1}  {tokens / 1e6:.2f} M tokens  loss {smooth:.3f}")
        if (step + 1) % 200 == 0 or step + 1 == steps:
            for family in task.FAMILIES:
                say(accuracy_by_recurrences(network.eval(), family, (1, 2, 4, 8, 16), VALIDATION_SEED, 60))
            network.train()
            save_network(network, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    for name in ("hidden_size", "num_attention_heads", "intermediate_size", "n_layers_in_recurrent_block", "n_layers_in_coda", "mean_recurrence"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Config, name))
    arguments = vars(parser.parse_args())
    torch.set_num_threads(1)
    seed, out, steps = (arguments.pop(name) for name in ("seed", "out", "steps"))
    train(seed, out, steps, Config(**arguments))

"""Measures a checkpoint: baselines, judge, LatentSeek grid, two days with memory. Batched; a few minutes on one core.

`python evaluate.py FOLDER --seed 2001` prints lines and, with --json, writes the numbers. Seeds 2000-2099 tune, 3000-3099 publish.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F

import task
from decoding import Decoded, accuracy, decode, is_right, last_states, mean_embedding, prompts, reward_of, self_rewards
from latent_seek import Reward, Search, latent_seek, widen_margins
from network import load_network
from task import Problem
from vocabulary import ID, answer_of

DEFAULTS = json.loads((task.MODEL_DIR / "circadian.json").read_text())["defaults"]
STOP = DEFAULTS["stopReward"]
SAMPLES = 8


class Report:
    """Collects numbers by dotted name and prints them as they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def add(self, name: str, **values: float) -> None:
        self.numbers |= {f"{name}.{key}": round(float(value), 4) for key, value in values.items()}
        print(f"{name:34s}", "  ".join(f"{k} {v:.3f}" for k, v in values.items()), flush=True)


def share(accuracy_: float, n: int) -> dict[str, float]:
    return dict(accuracy=accuracy_, se=(accuracy_ * (1 - accuracy_) / n) ** 0.5)


def auc(scores: torch.Tensor, right: torch.Tensor) -> float:
    above = (scores[right][:, None] > scores[~right][None]).float()
    ties = (scores[right][:, None] == scores[~right][None]).float()
    return (above + ties / 2).mean().item()


def baselines(network, problems: list[Problem], drafts: list[Decoded], rewards: list[float], report: Report) -> None:
    n = len(problems)
    answers = [d.tokens for d in drafts]
    report.add("greedy", **share(accuracy(problems, answers), n))
    forced = decode(network, prompts(problems), [[ID[p.family.rule]] for p in problems])
    report.add("true strategy forced", **share(accuracy(problems, [d.tokens for d in forced]), n))
    for family in task.TRAINED:
        mine = [(p, a) for p, a in zip(problems, answers) if p.family == family]
        chosen = Counter(task.STRATEGIES[a[0] - ID["left"]] for _, a in mine)
        print(f"  {family.name:10s} {family.rule:6s} greedy {accuracy(*zip(*mine)):.2f}  says {dict(chosen)}")

    repeated = [p for p in problems for _ in range(SAMPLES)]
    drawn = decode(network, prompts(repeated), temperature=1.0, generator=torch.Generator().manual_seed(0))
    sampled = [d.tokens for d in drawn]
    sampled_rewards = torch.tensor(self_rewards(network, repeated, sampled))
    right = torch.tensor([is_right(p, a) for p, a in zip(repeated, sampled)])
    by_problem = right.view(n, SAMPLES)
    majority = 0
    for i, problem in enumerate(problems):
        votes = Counter(answer_of(a) for a in sampled[i * SAMPLES : (i + 1) * SAMPLES])
        majority += votes.most_common(1)[0][0] == problem.answer
    best = by_problem[torch.arange(n), sampled_rewards.view(n, SAMPLES).argmax(1)]
    report.add("one sample, T = 1", accuracy=right.float().mean())
    report.add("majority of 8", **share(majority / n, n))
    report.add("best of 8 by reward", **share(best.float().mean().item(), n))
    report.add("any of 8 right", accuracy=by_problem.any(1).float().mean())

    greedy_right = torch.tensor([is_right(p, a) for p, a in zip(problems, answers)])
    report.add("judge auc", greedy=auc(torch.tensor(rewards), greedy_right), samples=auc(sampled_rewards, right))
    for p_true in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        passed = sampled_rewards > reward_of(p_true)
        report.add(
            f"passed at P(true) > {p_true}",
            share=passed.float().mean(),
            precision=right[passed].float().mean(),
            recall=passed[right].float().mean(),
        )


def describe(found: list[Search], stop_reward: float) -> dict[str, float]:
    n = len(found)
    wrong = [s for s in found if not is_right(s.problem, s.best.answer)]
    return dict(
        **share(1 - len(wrong) / n, n),
        steps=sum(s.steps for s in found) / n,
        evaluations=sum(s.evaluations for s in found) / n,
        untouched=sum(s.steps == 0 for s in found) / n,
        passed=sum(s.best.reward > stop_reward for s in found) / n,
        passed_wrong=sum(s.best.reward > stop_reward for s in wrong) / n,
    )


def self_reward(network) -> Reward:
    return lambda problems, answers: self_rewards(network, problems, answers)


def perfect(problems: list[Problem], answers: list[list[int]]) -> list[float]:
    """Reads the answer key: an upper bound, never a product claim."""
    return [0.0 if is_right(p, a) else -1.0 for p, a in zip(problems, answers)]


def searches(network, problems, drafts, rewards, report: Report) -> None:
    """LatentSeek with the profile's defaults, and its controls."""
    seek = dict(lr=DEFAULTS["lr"], rho=DEFAULTS["rho"], patience=DEFAULTS["patience"])
    found = latent_seek(network, problems, drafts, rewards, self_reward(network), stop_reward=STOP, **seek)
    report.add("latentseek", **describe(found, STOP))
    exact = perfect(problems, [d.tokens for d in drafts])
    found = latent_seek(network, problems, drafts, exact, perfect, stop_reward=-0.5, **seek)
    report.add("latentseek, answer key as reward", **describe(found, -0.5))
    minus = [-1.0] * len(problems)
    seek["patience"] = 10
    found = latent_seek(network, problems, drafts, minus, lambda ps, _: [-1.0] * len(ps), stop_reward=-0.5, **seek)
    report.add("reward always -1, last answer", accuracy=accuracy(problems, [s.current[0] for s in found]))


def grid(network, problems, drafts, rewards, report: Report) -> None:
    """What the defaults were chosen from, on tuning seeds."""
    judged = self_reward(network)
    for lr in (0.03, 0.1, 0.15, 0.2, 0.3):
        for rho in (0.1, 0.2):
            found = latent_seek(network, problems, drafts, rewards, judged, lr=lr, rho=rho, stop_reward=STOP)
            report.add(f"lr {lr} rho {rho}", **describe(found, STOP))
    for p_true in (0.5, 0.6, 0.7, 0.8, 0.9):
        stop = reward_of(p_true)
        found = latent_seek(network, problems, drafts, rewards, judged, lr=DEFAULTS["lr"], rho=0.1, stop_reward=stop)
        report.add(f"stop at P(true) > {p_true}", **describe(found, stop))
    for patience in (1, 2, 3, 4):
        settings = dict(lr=DEFAULTS["lr"], rho=0.1, stop_reward=STOP, patience=patience)
        report.add(f"patience {patience}", **describe(latent_seek(network, problems, drafts, rewards, judged, **settings), STOP))


def embeddings(network, problems: list[Problem], mean: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return F.normalize(last_states(network, prompts(problems)) - mean, dim=-1)


def memory_days(network, seed: int, report: Report, *, positions: int, count: int = 300) -> None:
    """Day one without memory fills it; later failed drafts start from what similar problems taught (LatentEvolve, Eq. 5)."""
    judged = self_reward(network)
    mean = mean_embedding(network)
    settings = dict(lr=DEFAULTS["lr"], positions=positions, stop_reward=STOP, patience=DEFAULTS["patience"])

    def day(day_seed: int, families):
        problems = task.make_problems(day_seed, count, families)
        drafts = decode(network, prompts(problems))
        return problems, drafts, judged(problems, [d.tokens for d in drafts])

    problems, drafts, rewards = day(seed, task.TRAINED)
    first = latent_seek(network, problems, drafts, rewards, judged, **settings)
    report.add(f"S {positions}: day 1", **describe(first, STOP))
    kept = [i for i, s in enumerate(first) if s.best.reward >= DEFAULTS["admitReward"]]
    keys = embeddings(network, [problems[i] for i in kept], mean)
    ends = widen_margins(network, [first[i].best for i in kept], DEFAULTS["lr"], DEFAULTS["marginSteps"])
    shifts = torch.zeros(len(kept), positions, keys.shape[1])
    for row, (i, end) in enumerate(zip(kept, ends)):
        shifts[row, : len(end)] = end - drafts[i].states[: len(end)]

    for name, families in (("day 2", task.TRAINED), ("unseen families", task.UNSEEN)):
        problems, drafts, rewards = day(seed + 1, families)
        report.add(f"S {positions}: {name}, greedy", accuracy=accuracy(problems, [d.tokens for d in drafts]))
        plain = latent_seek(network, problems, drafts, rewards, judged, **settings)
        report.add(f"S {positions}: {name}, no memory", **describe(plain, STOP))
        similarity, nearest = (embeddings(network, problems, mean) @ keys.T).topk(DEFAULTS["topK"], -1)
        alpha = torch.softmax(similarity / DEFAULTS["retrievalTemperature"], -1)
        shift = (alpha[..., None, None] * shifts[nearest]).sum(1)
        starts = [
            d.states[:positions] + shift[i, : len(d.states[:positions])] if rewards[i] <= STOP else None
            for i, d in enumerate(drafts)
        ]
        found = latent_seek(network, problems, drafts, rewards, judged, starts=starts, **settings)
        report.add(f"S {positions}: {name}, memory", **describe(found, STOP))
        tenth, half = torch.quantile(similarity, torch.tensor([0.1, 0.5])).tolist()
        families_of = [[first[kept[j]].problem.family for j in row] for row in nearest.tolist()]
        same = sum(f == p.family for p, row in zip(problems, families_of) for f in row) / similarity.numel()
        report.add(f"S {positions}: {name}, neighbours", same_family=same, similarity_p10=tenth, similarity_p50=half)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=504)
    parser.add_argument("--tune", action="store_true", help="also the grids that the defaults were chosen from")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = load_network(arguments.folder)
    report = Report()
    problems = task.make_problems(arguments.seed, arguments.count)
    drafts = decode(network, prompts(problems))
    rewards = self_rewards(network, problems, [d.tokens for d in drafts])
    baselines(network, problems, drafts, rewards, report)
    searches(network, problems, drafts, rewards, report)
    if arguments.tune:
        grid(network, problems, drafts, rewards, report)
    for positions in (1, 2, 4) if arguments.tune else (DEFAULTS["latents"],):
        memory_days(network, arguments.seed + 10, report, positions=positions)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.numbers, indent=2) + "\n")

"""The task "which order of operations?": families, problems, demonstrations. Pure Python, no tensors.

A problem is a chain of three or four digit operations modulo 10, asked somewhere: "Eve at the till: 6 + 4 * 7 - 4 - 5 = ?".
The place (a noun) tells the family, the family has one true convention: left to right, times first, or right to left.
Chains on which all three conventions agree are not used. A fifth of all chains, chosen by hash, is held out of training.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

MODEL_DIR = Path(__file__).resolve().parent.parent
_DATA = json.loads((MODEL_DIR / "families.json").read_text())

NAMES: list[str] = _DATA["names"]
STRATEGIES: list[str] = _DATA["strategies"]
RULES = ("left", "times", "right")
# A guess answers at once; whoever wrote the demonstration was right this often.
GUESS_ACCURACY = 0.6


@dataclass(frozen=True)
class Family:
    name: str
    rule: str
    nouns: tuple[str, ...]
    mixture: dict[str, float]


@dataclass(frozen=True)
class Problem:
    family: Family
    name: str
    noun: str
    chain: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Demonstration:
    """Words of one training text and the loss weight of each (0 = not trained on)."""

    words: list[str]
    weights: list[float]
    correct: bool


def _families(key: str) -> list[Family]:
    return [Family(f["family"], f["rule"], tuple(f["nouns"]), f.get("mixture", {})) for f in _DATA[key]]


TRAINED = _families("trained")
UNSEEN = _families("unseen")


def is_held_out(chain: tuple[str, ...]) -> bool:
    """Whether a chain belongs to the fifth that no training text uses (the same hash as in problems.ts)."""
    digest = hashlib.sha256("".join(chain).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 5 == 0


def apply(a: int, op: str, b: int) -> int:
    return (a + b if op == "+" else a - b if op == "-" else a * b) % 10


def next_operation(ops: list[str], rule: str) -> int:
    """Index of the operation that `rule` does next."""
    if rule == "left":
        return 0
    if rule == "right":
        return len(ops) - 1
    return ops.index("*") if "*" in ops else 0


def work(chain: tuple[str, ...], rule: str, rng: random.Random | None = None, slip: float = 0.0):
    """Steps and result of a chain under a rule; with chance `slip` a step's digit is wrong and carried on."""
    digits = [int(c) for c in chain[0::2]]
    ops = list(chain[1::2])
    steps: list[list[str]] = []
    while ops:
        i = next_operation(ops, rule)
        result = apply(digits[i], ops[i], digits[i + 1])
        if slip and rng is not None and rng.random() < slip:
            result = (result + rng.randrange(1, 10)) % 10
        steps.append([str(digits[i]), ops[i], str(digits[i + 1]), "=", str(result)])
        digits[i : i + 2] = [result]
        del ops[i]
    return steps, str(digits[0])


def make_problem(rng: random.Random, families: list[Family] = TRAINED, held_out: bool = False) -> Problem:
    """One random problem of one of `families`, on the asked side of the split."""
    while True:
        chain = [str(rng.randrange(10))]
        for _ in range(rng.choice((3, 4))):
            chain += [rng.choice("+-*"), str(rng.randrange(10))]
        key = tuple(chain)
        if "*" not in key or is_held_out(key) != held_out:
            continue
        answers = {rule: work(key, rule)[1] for rule in RULES}
        if len(set(answers.values())) == 1:
            continue
        family = rng.choice(families)
        return Problem(family, rng.choice(NAMES), rng.choice(family.nouns), key, answers[family.rule])


def make_problems(seed: int, count: int, families: list[Family] = TRAINED, held_out: bool = True) -> list[Problem]:
    rng = random.Random(seed)
    return [make_problem(rng, families, held_out) for _ in range(count)]


def question(problem: Problem) -> str:
    """The text that a person types."""
    return f"{problem.name.capitalize()} at the {problem.noun}: {' '.join(problem.chain)} = ?"


def prompt_words(problem: Problem, named: bool = True, asked: bool = True) -> list[str]:
    """Words of the rendered chat template; people may leave out who asks, or the closing "= ?"."""
    who = [problem.name] if named else []
    tail = ["=", "?"] if asked else []
    return ["<bos>", *who, "at", "the", problem.noun, ":", *problem.chain, *tail, "<|assistant|>"]


def response_words(problem: Problem, strategy: str, rng: random.Random, slip: float = 0.0):
    """A worked answer and its digit: strategy, the restated chain, the steps, the answer."""
    head = [strategy, ":", *problem.chain, ";"]
    if strategy == "guess":
        digit = problem.answer if rng.random() < GUESS_ACCURACY else str(rng.randrange(10))
        return [*head, "ans", digit, "<eos>"], digit
    steps, digit = work(problem.chain, strategy, rng, slip)
    words = [w for i, step in enumerate(steps) for w in ([","] if i else []) + step]
    return [*head, *words, ";", "ans", digit, "<eos>"], digit


JUDGED_ONLY = 0.3  # share of demonstrations that train only the judge
SLIP = 0.35  # chance of a slip per step, in half of those
STRATEGY_WEIGHT = 2.0
VERDICT_WEIGHT = 3.0


def make_demonstration(rng: random.Random, held_out: bool = False) -> Demonstration:
    """One training text.

    Most imitate: the strategy is drawn from the family's mixture. Some are for the judge alone: any strategy, slips in
    half of them, and only the verdict has loss, so that the solver learns neither the slips nor another mixture.
    """
    problem = make_problem(rng, TRAINED, held_out)
    judged_only = rng.random() < JUDGED_ONLY
    if judged_only:
        strategy = rng.choice(STRATEGIES)
    else:
        strategy = rng.choices(list(problem.family.mixture), list(problem.family.mixture.values()))[0]
    slip = SLIP if judged_only and rng.random() < 0.5 else 0.0
    prompt = prompt_words(problem, named=rng.random() >= 0.1, asked=rng.random() >= 0.05)
    response, digit = response_words(problem, strategy, rng, slip)
    correct = digit == problem.answer
    words = [*prompt, *response, "check", "true" if correct else "false"]
    imitation = [0.0] * len(response) if judged_only else [STRATEGY_WEIGHT, *[1.0] * (len(response) - 1)]
    return Demonstration(words, [0.0] * len(prompt) + imitation + [0.0, VERDICT_WEIGHT], correct)

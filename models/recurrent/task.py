"""The task "follow the chain": problems of three families and their training texts. Pure Python, no tensors.

A problem is a chain of steps from a start, and the model answers with the end of the chain at once, without writing out its work:
"sum : 3 + 4 * 2 - 1 = ?" (left to right, modulo 5), "ball b : ab cd ae ?" (where the ball is after the cups' swaps), "map ac bd ce
da eb ; a > > > ?" (pointer chasing). So the number of sequential operations grows with the chain. A fifth of all problems, chosen by
hash, is held out of training; problems of split `unseen` are longer than every training text.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

MODEL_DIR = Path(__file__).resolve().parent

FAMILIES = ("sum", "ball", "map")
PLACES = "abcde"
DIGITS = "01234"
TRAINED_DEPTHS = (1, 12)  # shortest and longest chain of the splits train and heldout
UNSEEN_DEPTHS = (13, 16)

VERDICT_WRONG = 0.5  # share of training texts whose answer is wrong on purpose: they train only the verdict


@dataclass(frozen=True)
class Problem:
    """`words` is the question; `values[i]` the value of the chain after the word at index `at[i]`; the answer is the last value."""

    family: str
    words: tuple[str, ...]
    at: tuple[int, ...]
    values: tuple[str, ...]

    @property
    def answer(self) -> str:
        return self.values[-1]

    @property
    def depth(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Text:
    """Words of one training text; `targets[i]` is the word that position i must predict, `weights[i]` its loss weight."""

    words: list[str]
    targets: list[str]
    weights: list[float]


def is_held_out(question: str) -> bool:
    """Whether a question belongs to the fifth that no training text uses (the same hash as in problems.ts)."""
    digest = hashlib.sha256(question.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 5 == 0


def _sum(rng: random.Random, steps: int) -> Problem:
    value = rng.randrange(5)
    words, at, values = ["sum", ":", str(value)], [], []
    for _ in range(steps):
        op = rng.choice("+-*")
        # Multiplication by 2, 3 and 4 loses nothing modulo 5, so the whole chain counts.
        digit = rng.randrange(2 if op == "*" else 0, 5)
        value = (value + digit if op == "+" else value - digit if op == "-" else value * digit) % 5
        words += [op, str(digit)]
        at.append(len(words) - 1)
        values.append(str(value))
    return Problem("sum", (*words, "=", "?"), tuple(at), tuple(values))


def _ball(rng: random.Random, steps: int) -> Problem:
    place = rng.choice(PLACES)
    words, at, values = ["ball", place, ":"], [], []
    for _ in range(steps):
        one, other = rng.sample(PLACES, 2)
        place = other if place == one else one if place == other else place
        words.append(one + other)
        at.append(len(words) - 1)
        values.append(place)
    return Problem("ball", (*words, "?"), tuple(at), tuple(values))


def _map(rng: random.Random, steps: int) -> Problem:
    images = rng.sample(PLACES, len(PLACES))
    place = rng.choice(PLACES)
    words, at, values = ["map", *(start + end for start, end in zip(PLACES, images)), ";", place], [], []
    for _ in range(steps):
        place = images[PLACES.index(place)]
        words.append(">")
        at.append(len(words) - 1)
        values.append(place)
    return Problem("map", (*words, "?"), tuple(at), tuple(values))


_MAKERS = {"sum": _sum, "ball": _ball, "map": _map}


def make_problem(
    rng: random.Random, split: str = "train", families: tuple[str, ...] = FAMILIES, depths: tuple[int, int] | None = None
) -> Problem:
    """One random problem of a split (`train`, `heldout`, `unseen`)."""
    low, high = depths or (UNSEEN_DEPTHS if split == "unseen" else TRAINED_DEPTHS)
    while True:
        problem = _MAKERS[rng.choice(families)](rng, rng.randint(low, high))
        if is_held_out(question(problem)) == (split != "train"):
            return problem


def question(problem: Problem) -> str:
    """The text that a person types."""
    return " ".join(problem.words)


def prompt_words(problem: Problem) -> list[str]:
    """Words of the rendered chat template."""
    return ["<bos>", *problem.words, "<|assistant|>"]


STEP_WEIGHT = 1.0
ANSWER_WEIGHT = 2.0
END_WEIGHT = 0.2
VERDICT_WEIGHT = 0.5


def make_text(rng: random.Random, problem: Problem) -> Text:
    """The prompt, an answer, and the verdict on it.

    In the prompt, the words that end a step predict the value of the chain after the step: so every text teaches chains of
    every shorter length. All other words of the prompt have no loss.
    """
    wrong = rng.random() < VERDICT_WRONG
    given = problem.answer
    if wrong:
        given = rng.choice([v for v in (DIGITS if problem.family == "sum" else PLACES) if v != problem.answer])
    prompt = prompt_words(problem)
    words = [*prompt, given, "<eos>", "check"]
    targets, weights = ["<pad>"] * len(words), [0.0] * len(words)
    for i, value in zip(problem.at, problem.values):
        targets[i + 1], weights[i + 1] = value, STEP_WEIGHT
    end = len(prompt) - 1
    # A wrong answer has no loss, but the position before it still predicts the right one.
    targets[end], weights[end] = problem.answer, ANSWER_WEIGHT
    targets[end + 1], weights[end + 1] = "<eos>", END_WEIGHT
    targets[end + 3], weights[end + 3] = ("false" if wrong else "true"), VERDICT_WEIGHT
    return Text(words, targets, weights)

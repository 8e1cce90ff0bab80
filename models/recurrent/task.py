"""The task "follow the chain": problems of three families and their training texts. Pure Python, no tensors.

A problem is a chain of steps from a start, and the model answers with the end of the chain at once, without writing out its work:
"sum : 3 + 4 * 2 - 1 = ?" (left to right, modulo 5), "ball : b ab cd ae ?" (where the ball is after the cups' swaps), "walk : b > ^ <
> ?" (around a ring of five places: on, opposite, back). So the number of sequential operations grows with the chain. A fifth of
all problems, chosen by hash, is held out of training; problems of split `unseen` are longer than every training text.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

MODEL_DIR = Path(__file__).resolve().parent

FAMILIES = ("sum", "ball", "walk")
PLACES = "abcde"
DIGITS = "01234"
TRAINED_DEPTHS = (1, 12)  # shortest and longest chain of the splits train and heldout
UNSEEN_DEPTHS = (13, 16)

VERDICT_WRONG = 0.5  # share of training texts whose answer is wrong on purpose: they train only the verdict


@dataclass(frozen=True)
class Problem:
    """`words` is the question; `values[i]` the value of the chain at the word with index `at[i]`: its start, then after each step.

    The answer is the last value. Texts with restarts, which only training has, have several starts.
    """

    family: str
    depth: int
    words: tuple[str, ...]
    at: tuple[int, ...]
    values: tuple[str, ...]

    @property
    def answer(self) -> str:
        return self.values[-1]


@dataclass(frozen=True)
class Text:
    """Words of one training text; `targets[i]` is the word that position i must predict, `weights[i]` its loss weight.

    Position `answer_at` predicts the answer.
    """

    answer_at: int
    words: list[str]
    targets: list[str]
    weights: list[float]


def is_held_out(question: str) -> bool:
    """Whether a question belongs to the fifth that no training text uses (the same hash as in problems.ts)."""
    digest = hashlib.sha256(question.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 5 == 0


class _Chain:
    """Words of a question while it is made."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.at, self.values = words, [], []

    def add(self, words: list[str], value: str) -> None:
        """Appends words, after the last of which the chain has the value."""
        self.words += words
        self.at.append(len(self.words) - 1)
        self.values.append(value)

    def problem(self, family: str, depth: int, end: list[str]) -> Problem:
        return Problem(family, depth, (*self.words, *end), tuple(self.at), tuple(self.values))


def _restarts(rng: random.Random, depth: int, restart: float) -> list[bool]:
    """Whether the chain starts (anew) before each of its steps."""
    return [i == 0 or (restart > 0 and rng.random() < restart) for i in range(depth)]


def _sum(rng: random.Random, depth: int, restart: float) -> Problem:
    chain, value = _Chain(["sum"]), 0
    for starts in _restarts(rng, depth, restart):
        if starts:
            value = rng.randrange(5)
            chain.add([":", str(value)], str(value))
        op = rng.choice("+-*")
        # Multiplication by 2, 3 and 4 loses nothing modulo 5, so the whole chain counts.
        digit = rng.randrange(2 if op == "*" else 0, 5)
        value = (value + digit if op == "+" else value - digit if op == "-" else value * digit) % 5
        chain.add([op, str(digit)], str(value))
    return chain.problem("sum", depth, ["=", "?"])


def _ball(rng: random.Random, depth: int, restart: float) -> Problem:
    chain, place = _Chain(["ball"]), ""
    for starts in _restarts(rng, depth, restart):
        if starts:
            place = rng.choice(PLACES)
            chain.add([":", place], place)
        one, other = rng.sample(PLACES, 2)
        place = other if place == one else one if place == other else place
        chain.add([one + other], place)
    return chain.problem("ball", depth, ["?"])


def _walk(rng: random.Random, depth: int, restart: float) -> Problem:
    chain, at = _Chain(["walk"]), 0
    for starts in _restarts(rng, depth, restart):
        if starts:
            at = rng.randrange(5)
            chain.add([":", PLACES[at]], PLACES[at])
        step = rng.choice("><^")
        at = (at + 1 if step == ">" else at - 1 if step == "<" else 4 - at) % 5
        chain.add([step], PLACES[at])
    return chain.problem("walk", depth, ["?"])


_MAKERS = {"sum": _sum, "ball": _ball, "walk": _walk}


def make_problem(
    rng: random.Random,
    split: str = "train",
    families: tuple[str, ...] = FAMILIES,
    depths: tuple[int, int] | None = None,
    restart: float = 0.0,
) -> Problem:
    """One random problem of a split (`train`, `heldout`, `unseen`); training texts may restart the chain before a step."""
    low, high = depths or (UNSEEN_DEPTHS if split == "unseen" else TRAINED_DEPTHS)
    while True:
        problem = _MAKERS[rng.choice(families)](rng, rng.randint(low, high), restart)
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

    In the prompt, a start predicts itself and the word that ends a step predicts the value of the chain after the step, so every
    text teaches chains of every shorter length. All other words of the prompt have no loss.
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
    return Text(end, words, targets, weights)

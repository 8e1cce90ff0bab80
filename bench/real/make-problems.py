"""Writes problems of reasoning-gym as JSON lines {id, question, answer, family}, for `npm run eval`.

    python3 -m venv .venv && .venv/bin/pip install -r bench/real/requirements.txt
    .venv/bin/python bench/real/make-problems.py --use tuning --count 100 > tuning.jsonl
    .venv/bin/python bench/real/make-problems.py --use publishing --count 300 --family gsm_symbolic,gcd > published.jsonl

reasoning-gym makes item i of a dataset from seed + i, so two seeds that are near share items. Here every family and
use has a range of seeds of its own, and a hash of the question decides its use, since small families repeat
themselves: settings are chosen on tuning problems, and figures are published on others, whatever the seeds.
Problems are generated, so no model has memorised them. Only families whose answer is one short value are listed: the
evaluation compares answers by the answer format of the model profile, not by the scorer of reasoning-gym.
"""

import argparse
import hashlib
import json
import sys
from importlib.metadata import version

import reasoning_gym

VERSION = "0.1.25"

# Families in the order of their seeds: append only, or published problems change.
FAMILIES = (
    "gsm_symbolic",
    "chain_sum",
    "leg_counting",
    "simple_equations",
    "gcd",
    "lcm",
    "products",
    "basic_arithmetic",
)
USES = ("tuning", "publishing")

# Seeds of one family and use. --seed moves inside of them.
RANGE = 10_000_000


def first_seed(family: str, use: str, seed: int) -> int:
    return (FAMILIES.index(family) * len(USES) + USES.index(use)) * RANGE + seed


def use_of(question: str) -> str:
    return USES[hashlib.sha256(question.encode()).digest()[0] % len(USES)]


def problems(family: str, use: str, seed: int, count: int):
    """Yields `count` different problems; a larger count only adds to them."""
    # The size bounds the items, which are made one by one; some questions come twice.
    dataset = reasoning_gym.create_dataset(family, size=RANGE - seed, seed=first_seed(family, use, seed))
    seen = set()
    for index in range(RANGE - seed):
        if len(seen) == count:
            return
        item = dataset[index]
        question, answer = item["question"].strip(), str(item["answer"]).strip()
        if question in seen or use_of(question) != use:
            continue
        if dataset.score_answer(answer, item) != 1:
            sys.exit(f"{family}, item {index}: expected reasoning-gym to score its own answer 1, got less")
        seen.add(question)
        yield {
            "id": f"{family}-{use}-{seed + index}",
            "question": question,
            "answer": answer,
            "family": family,
        }


def main() -> None:
    found = version("reasoning-gym")
    if found != VERSION:
        sys.exit(f"expected reasoning-gym {VERSION}, whose problems are published, got {found}")
    parser = argparse.ArgumentParser(description="Writes problems of reasoning-gym as JSON lines.")
    parser.add_argument("--family", default=",".join(FAMILIES), help="families, separated by commas")
    parser.add_argument("--use", choices=USES, default="tuning")
    parser.add_argument("--count", type=int, default=100, help="problems of every family")
    parser.add_argument("--seed", type=int, default=0, help="first seed, from 0 to 9,000,000")
    options = parser.parse_args()
    families = options.family.split(",")
    unknown = [family for family in families if family not in FAMILIES]
    if unknown:
        parser.error(f"--family: expected some of {', '.join(FAMILIES)}, got {', '.join(unknown)}")
    if not 0 <= options.seed <= 9_000_000:
        parser.error(f"--seed: expected 0 to 9000000, got {options.seed}")
    if options.count < 1:
        parser.error(f"--count: expected 1 or more, got {options.count}")
    for family in families:
        for problem in problems(family, options.use, options.seed, options.count):
            print(json.dumps(problem, ensure_ascii=False))


if __name__ == "__main__":
    main()

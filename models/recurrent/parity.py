"""Writes parity.json: what PyTorch computes from the shipped weights, for the tests of the engine.

`python parity.py`. Numbers are little-endian fp32 in base64. A case has T prompt tokens and the h_0 of each; `states` are s_1 .. s_R of
the last token, `logits` row r - 1 its logits when every token takes r recurrences; `continuation` is greedy decoding at `steps`
recurrences, which an end token does not stop, with row k of `laterStates` as the h_0 of the k-th decoded token.
"""

from __future__ import annotations

import base64
import json

import torch
from torch import Tensor

import task
from export import Reference
from network import Recurrent, load_network
from vocabulary import encode

MAX_STEPS, CONTINUED_STEPS, CONTINUED_TOKENS = 32, 8, 5
QUESTIONS = ("walk : b > ^ < ?", "ball : c ac cd ae be ?", "sum : 2 + 4 * 3 - 4 - 1 * 2 + 2 + 3 - 0 * 4 = ?")


def packed(tensor: Tensor) -> str:
    return base64.b64encode(tensor.contiguous().numpy().astype("<f4").tobytes()).decode()


@torch.no_grad()
def continuation(network: Recurrent, tokens: list[int], noise: Tensor, later: Tensor) -> list[int]:
    reference, decoded = Reference(network), []
    new, states = torch.tensor([tokens]), noise[None]
    for k in range(CONTINUED_TOKENS):
        total = len(tokens) + k
        positions = torch.arange(total - new.shape[1], total)[None]
        logits, _ = reference.step(new, torch.ones(1, total, dtype=torch.int64), positions, states, CONTINUED_STEPS)
        decoded.append(int(logits[0, -1].argmax()))
        new, states = torch.tensor([decoded[-1:]]), later[None, k : k + 1]
    return decoded


@torch.no_grad()
def case(network: Recurrent, question: str, seed: int) -> dict:
    tokens = encode(["<bos>", *question.split(" "), "<|assistant|>"])
    width, generator = network.config.hidden_size, torch.Generator().manual_seed(seed)
    noise = network.initial_state((len(tokens), width), generator)
    later = network.initial_state((CONTINUED_TOKENS - 1, width), generator)
    ids, positions = torch.tensor([tokens]), torch.arange(len(tokens))[None]
    mask = torch.ones_like(ids)
    states = Reference(network).step(ids, mask, positions, noise[None], MAX_STEPS)[1][:, 0, -1]
    logits = torch.stack([network.run(ids, noise[None], steps)[0, -1] for steps in range(1, MAX_STEPS + 1)])
    return dict(
        tokens=tokens,
        initialStates=packed(noise),
        states=packed(states),
        logits=packed(logits),
        continuation=dict(
            steps=CONTINUED_STEPS, laterStates=packed(later), tokens=continuation(network, tokens, noise, later)
        ),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    network = load_network(task.MODEL_DIR)
    cases = [case(network, question, seed) for seed, question in enumerate(QUESTIONS)]
    content = dict(provenance=dict(script="models/recurrent/parity.py", torch=torch.__version__), cases=cases)
    (task.MODEL_DIR / "parity.json").write_text(json.dumps(content, indent=1) + "\n")

"""Turns a checkpoint (config.json, model.safetensors) into the model directory: weights and three ONNX graphs.

`python export.py CHECKPOINT_FOLDER`. Each graph is written by torch.onnx and they are compared with PyTorch: prompts of unlike
lengths in one left-padded batch, then cached steps, at several numbers of recurrences. docs/onnx-support.md describes the graphs.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

import task
from network import Cache, Part, Recurrent, load_network, save_network
from task import make_problem, prompt_words
from vocabulary import CHECK, EOS, PAD, TRUE, encode

OPSET = 18
GRAPHS = ("prelude", "core", "coda")
STATES = {"prelude": (), "core": ("state", "embedded"), "coda": ("state",)}
RESULT = {"prelude": "embedded", "core": "next_state", "coda": "logits"}
TOLERANCE = 1e-4


class Flat(nn.Module):
    """A part of the network whose caches are separate inputs and outputs."""

    def __init__(self, part: Part, states: int) -> None:
        super().__init__()
        self.part, self.states = part, states

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        # The prelude has token ids in the place of states.
        count = max(1, self.states)
        values, (mask, positions, *past) = inputs[:count], inputs[count:]
        caches = [(past[i], past[i + 1]) for i in range(0, len(past), 2)]
        result, present = self.part(*values, mask, positions, caches)
        return (result, *[tensor for cache in present for tensor in cache])


def cache_names(prefix: str, layers: int) -> list[str]:
    return [f"{prefix}.{i}.{kind}" for i in range(layers) for kind in ("key", "value")]


def export_graph(network: Recurrent, name: str, target: Path) -> None:
    config, part = network.config, getattr(network, name)
    layers, states = len(part.layers), STATES[name]
    batch, length, past = 2, 3, 4
    mask = torch.ones(batch, past + length, dtype=torch.int64)
    positions = torch.arange(past, past + length).repeat(batch, 1)
    values = [torch.randn(batch, length, config.hidden_size) for _ in states]
    values = values or [torch.ones(batch, length, dtype=torch.int64)]
    caches = [torch.randn(batch, config.num_attention_heads, past, config.head_size) for _ in range(2 * layers)]
    names = [*(states or ("input_ids",)), "attention_mask", "position_ids", *cache_names("past_key_values", layers)]
    results = [RESULT[name], *cache_names("present", layers)]
    axes = {key: {0: "batch", 1: "length"} for key in (*names[: len(values)], "position_ids", RESULT[name])}
    axes["attention_mask"] = {0: "batch", 1: "total"}
    axes |= {key: {0: "batch", 2: "past"} for key in cache_names("past_key_values", layers)}
    axes |= {key: {0: "batch", 2: "total"} for key in cache_names("present", layers)}
    torch.onnx.export(
        Flat(part, len(states)).eval(),
        (*values, mask, positions, *caches),
        str(target),
        input_names=names,
        output_names=results,
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )
    onnx.checker.check_model(str(target), full_check=True)


class Graphs:
    """The three graphs on ONNX Runtime, run as the contract defines; one cache a layer, and for the core one a recurrence too."""

    def __init__(self, folder: Path, config) -> None:
        self.sessions = {
            name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
            for name in GRAPHS
        }
        self.config = config
        self.caches: dict[str, dict[str, np.ndarray]] = {}

    def run(self, name: str, key: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
        session = self.sessions[name]
        batch = len(feeds["position_ids"])
        empty = np.zeros((batch, self.config.num_attention_heads, 0, self.config.head_size), np.float32)
        past = self.caches.get(key, {})
        asked = {i.name: feeds.get(i.name, past.get(i.name, empty)) for i in session.get_inputs()}
        outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, asked)))
        self.caches[key] = {f"past_key_values{n[7:]}": v for n, v in outputs.items() if n.startswith("present")}
        return outputs[RESULT[name]]

    def step(self, ids: Tensor, mask: Tensor, positions: Tensor, state: Tensor, recurrences: int) -> tuple[Tensor, Tensor]:
        """Logits [B, S, V] and states [R, B, S, D] of new tokens behind what the caches hold."""
        common = dict(attention_mask=mask.numpy(), position_ids=positions.numpy())
        embedded = self.run("prelude", "prelude", dict(input_ids=ids.numpy(), **common))
        current, states = state.numpy(), []
        for i in range(recurrences):
            current = self.run("core", f"core {i}", dict(state=current, embedded=embedded, **common))
            states.append(torch.from_numpy(current))
        return torch.from_numpy(self.run("coda", "coda", dict(state=current, **common))), torch.stack(states)


class Reference:
    """The same with PyTorch."""

    def __init__(self, network: Recurrent) -> None:
        self.network, self.caches = network, {}

    @torch.no_grad()
    def step(self, ids: Tensor, mask: Tensor, positions: Tensor, state: Tensor, recurrences: int) -> tuple[Tensor, Tensor]:
        def run(part: Part, key: str, *values: Tensor) -> Tensor:
            result, self.caches[key] = part(*values, mask, positions, self.caches.get(key, self.empty(part, len(ids))))
            return result

        embedded, states = run(self.network.prelude, "prelude", ids), []
        for i in range(recurrences):
            state = run(self.network.core, f"core {i}", state, embedded)
            states.append(state)
        return run(self.network.coda, "coda", state), torch.stack(states)

    def empty(self, part: Part, batch: int) -> list[Cache]:
        config = self.network.config
        return [(torch.zeros(batch, config.num_attention_heads, 0, config.head_size),) * 2 for _ in part.layers]


def left_padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and mask [B, S]."""
    width = max(map(len, rows))
    ids, mask = torch.full((len(rows), width), PAD), torch.zeros(len(rows), width, dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row)
        mask[i, width - len(row) :] = 1
    return ids, mask


def positions_of(mask: Tensor) -> Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


@torch.no_grad()
def compare(network: Recurrent, folder: Path, recurrences: int) -> float:
    """Largest difference of states and logits between ONNX Runtime and PyTorch, cached, padded and in one causal pass."""
    rng, generator = random.Random(1), torch.Generator().manual_seed(1)
    rows = [encode(prompt_words(make_problem(rng))) for _ in range(8)]
    ids, mask = left_padded(rows)
    width, worst = network.config.hidden_size, 0.0
    graphs, reference = Graphs(folder, network.config), Reference(network)
    whole, noise = ids, network.initial_state((*ids.shape, width), generator)
    new, new_noise = ids, noise
    # Several tokens on top of a past, so that causality among new tokens counts; all in texts like those of the training, because
    # the recurrences amplify rounding errors on others.
    for following in ([EOS, CHECK], [TRUE], []):
        positions = positions_of(mask)[:, -new.shape[1] :]
        ours, theirs = (each.step(new, mask, positions, new_noise, recurrences) for each in (graphs, reference))
        plain = torch.stack([unpadded(network, whole, mask, noise, i, recurrences) for i in range(len(rows))])
        stands = mask[:, -new.shape[1] :].bool()
        worst = max(
            worst,
            *[(one[..., stands, :] - other[..., stands, :]).abs().max().item() for one, other in zip(ours, theirs)],
            (ours[0][:, -1] - plain).abs().max().item(),
        )
        assert ours[0].isfinite().all(), "padded positions must give finite numbers"
        first = theirs[0][:, -1:].argmax(-1) if new is ids else new[:, :0]
        new = torch.cat((first, torch.tensor([following] * len(rows), dtype=torch.int64)), 1)
        new_noise = network.initial_state((*new.shape, width), generator)
        whole, noise = torch.cat((whole, new), 1), torch.cat((noise, new_noise), 1)
        mask = torch.cat((mask, torch.ones_like(new)), 1)
    return worst


def unpadded(network: Recurrent, ids: Tensor, mask: Tensor, noise: Tensor, row: int, recurrences: int) -> Tensor:
    """Logits [V] at the end of one row, without padding and caches: the computation of the training."""
    stands = mask[row].bool()
    return network.run(ids[row, stands][None], noise[row, stands][None], recurrences)[0, -1]


def main(checkpoint: Path) -> None:
    network = load_network(checkpoint)
    save_network(network, task.MODEL_DIR)
    folder = task.MODEL_DIR / "onnx"
    folder.mkdir(exist_ok=True)
    for name in GRAPHS:
        export_graph(network, name, folder / f"{name}.onnx")
    for recurrences in (1, 2, 4, 8, 16, 32):
        difference = compare(network, folder, recurrences)
        print(f"r = {recurrences}: largest difference of states and logits, ONNX Runtime against PyTorch: {difference:.2e}")
        if difference > TOLERANCE:
            raise SystemExit(f"export: expected ONNX Runtime to agree with PyTorch within {TOLERANCE}, got {difference:.2e}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

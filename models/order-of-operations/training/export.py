"""Turns a trained checkpoint into the model directory: config, weights, ONNX graph with a key/value cache, mean embedding.

`python export.py CHECKPOINT_FOLDER`. The graph is written by optimum-onnx (torch.onnx underneath) and compared with PyTorch.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from optimum.exporters.onnx import main_export

import task
from decoding import left_padded, mean_embedding, positions, prompts
from network import load_network

OPSET = 18


def export_onnx(folder: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        main_export(
            str(folder),
            scratch,
            task="text-generation-with-past",
            opset=OPSET,
            dtype="fp32",
            do_validation=True,
            no_post_process=False,
            local_files_only=True,
        )
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(scratch) / "model.onnx", target)


@torch.no_grad()
def compare(network, onnx_file: Path) -> float:
    """Largest difference of logits between ONNX Runtime and PyTorch over a ragged prefill and four cached steps."""
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    config = network.config
    heads, size = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
    ids, mask = left_padded(prompts(task.make_problems(1, 8)))
    names = [o.name for o in session.get_outputs()]
    past = {
        i.name: np.zeros((len(ids), heads, 0, size), np.float32)
        for i in session.get_inputs()
        if i.name.startswith("past_key_values")
    }
    feeds = dict(input_ids=ids, attention_mask=mask, position_ids=positions(mask))
    worst, whole = 0.0, ids
    for _ in range(5):
        out = dict(zip(names, session.run(None, {**{k: v.numpy() for k, v in feeds.items()}, **past})))
        full_mask = feeds["attention_mask"]
        expected = network(input_ids=whole, attention_mask=full_mask, position_ids=positions(full_mask)).logits[:, -1]
        worst = max(worst, float((torch.from_numpy(out["logits"][:, -1]) - expected).abs().max()))
        past = {f"past_key_values.{n[8:]}": v for n, v in out.items() if n.startswith("present.")}
        step = expected.argmax(-1, keepdim=True)
        whole = torch.cat([whole, step], 1)
        full_mask = torch.cat([full_mask, torch.ones_like(step)], 1)
        feeds = dict(input_ids=step, attention_mask=full_mask, position_ids=positions(full_mask)[:, -1:])
    return worst


def main(checkpoint: Path) -> None:
    network = load_network(checkpoint)
    network.save_pretrained(task.MODEL_DIR)
    onnx_file = task.MODEL_DIR / "onnx" / "model.onnx"
    export_onnx(task.MODEL_DIR, onnx_file)
    mean_embedding(network).numpy().astype("<f4").tofile(task.MODEL_DIR / "embedding-mean.bin")
    difference = compare(network, onnx_file)
    print(f"largest logit difference, ONNX Runtime against PyTorch: {difference:.2e}")
    if difference > 1e-4:
        raise SystemExit("export: expected ONNX Runtime to agree with PyTorch within 1e-4")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

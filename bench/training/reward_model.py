"""The reward network of src/algorithms/lto/reward-network.ts in PyTorch, as one would write it there: nn.Linear, scaled dot-product
attention, the fused AdamW. bench/training.ts starts it and asks over stdin and stdout, one JSON object a line.

The folder holds data.json (sizes, options, and of every tensor its shape) and a file of little-endian float32 for each.
"""

import json
import math
import os
import sys
import time
from pathlib import Path

# The trainer runs at the lowest priority; so does this, or the scheduler would decide the comparison.
os.nice(19)

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    print(json.dumps({"missing": "torch"}), flush=True)
    sys.exit(0)


class Block(nn.Module):
    def __init__(self, hidden, heads, feed_forward):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(hidden)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, feed_forward)
        self.down = nn.Linear(feed_forward, hidden)

    def forward(self, states, bias, drop):
        n, layers, hidden = states.shape
        attended = self.attention_norm(states)

        def split(part):
            return part(attended).view(n, layers, self.heads, -1).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(split(self.query), split(self.key), split(self.value), attn_mask=bias)
        joined = mixed.transpose(1, 2).reshape(n, layers, hidden)
        states = states + drop(self.output(joined))
        return states + drop(self.down(F.gelu(self.up(self.mlp_norm(states)))))


class RewardNetwork(nn.Module):
    def __init__(self, layers, width, hidden, heads, blocks, feedForward, **_):
        super().__init__()
        self.project = nn.Linear(width, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads, feedForward) for _ in range(blocks))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, hidden)
        self.logit = nn.Linear(hidden, 1)
        angle = torch.arange(layers)[:, None] / 10_000 ** (torch.arange(hidden) // 2 * 2 / hidden)
        even = torch.arange(hidden) % 2 == 0
        self.register_buffer("positions", torch.where(even, angle.sin(), angle.cos()).float())

    def forward(self, thoughts, mean, inverse_deviation, drop):
        is_state = thoughts.abs().sum(-1, keepdim=True) > 0  # [N, T, 1]
        mask = is_state.float()
        standard = (thoughts - mean) * inverse_deviation * mask
        states = self.project(standard) + self.positions
        bias = torch.where(is_state, 0.0, -1e9).view(-1, 1, 1, thoughts.shape[1])
        for block in self.blocks:
            states = block(states, bias, drop)
        pooled = (self.norm(states) * mask).sum(1) / mask.sum(1)
        return self.logit(drop(F.gelu(self.head(pooled)))).view(-1)


def main(folder):
    spec = json.loads((folder / "data.json").read_text())
    options = spec["options"]
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    # Answers once before anything is read, so that what Python and PyTorch take by themselves can be told apart.
    print(json.dumps({"torch": torch.__version__}), flush=True)
    sys.stdin.readline()

    tensors = {
        name: torch.frombuffer(bytearray((folder / file).read_bytes()), dtype=torch.float32).view(shape)
        for name, (file, shape) in spec["tensors"].items()
    }
    network = RewardNetwork(**spec["architecture"])
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            given = tensors.pop("parameters/" + name)
            # There a matrix is [in, out], here [out, in].
            parameter.copy_(given.T if given.dim() == 2 else given)
    thoughts, labels, weights = tensors["thoughts"], tensors["labels"], tensors["weights"]
    mean, inverse_deviation = tensors["mean"], tensors["inverse_deviation"]

    groups = [
        {"params": [p for p in network.parameters() if p.dim() >= 2], "weight_decay": options["weightDecay"]},
        {"params": [p for p in network.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=options["lr"], betas=(0.9, 0.999), eps=1e-8, fused=True)
    warmup, total = options["warmupSteps"], options["totalSteps"]

    def rate(step):
        progress = min(1.0, max(0.0, (step - warmup) / max(1, total - warmup)))
        return min(1.0, (step + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * progress))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    dropout = options["dropout"]

    def drop(values):
        if dropout == 0:
            return values
        # The same units in all layers of a thought.
        shape = (values.shape[0], 1, values.shape[2]) if values.dim() == 3 else values.shape
        return values * torch.empty(shape).bernoulli_(1 - dropout).div_(1 - dropout)

    for line in sys.stdin:
        request = json.loads(line)
        losses = []
        started = time.perf_counter()
        for rows in request["batches"]:
            batch = torch.tensor(rows)
            z = network(thoughts[batch], mean, inverse_deviation, drop)
            w = weights[batch]
            loss = F.binary_cross_entropy_with_logits(z, labels[batch], weight=w, reduction="sum") / w.sum()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), options["clipNorm"])
            optimiser.step()
            schedule.step()
            if request["losses"]:
                losses.append(loss.item())
        print(json.dumps({"seconds": time.perf_counter() - started, "losses": losses}), flush=True)


main(Path(sys.argv[1]))

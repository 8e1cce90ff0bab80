"""The network: a small rewrite of Huginn's architecture (Geiping et al., arXiv 2502.05171), in plain PyTorch.

Prelude (embedding and transformer blocks): e = P(x). Core (adapter over the concatenation of state and e, then blocks), run r
times: s_{i+1} = R(s_i, e), from s_0 ~ N(0, sigma^2). Coda (blocks, norm, LM head): logits = C(s_r). Blocks have the paper's sandwich
norms: x = n2(attention(n1(x)) + x), x = n4(mlp(n3(x)) + x). Every recurrence of every core layer has a cache of its own.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vocabulary import BOS, CONTEXT, EOS, PAD, WORDS

TIED = "coda.lm_head.weight"  # stored once, as the embedding, as in Huginn
Cache = tuple[Tensor, Tensor]  # keys and values of one layer, [B, K, P, h]


@dataclass(frozen=True)
class Config:
    """`state_std` is sigma; `mean_recurrence` and `mean_backprop_depth` are r and k of the training, with the paper's names."""

    vocab_size: int = len(WORDS)
    hidden_size: int = 64
    num_attention_heads: int = 4
    intermediate_size: int = 192
    n_layers_in_prelude: int = 1
    n_layers_in_recurrent_block: int = 1
    n_layers_in_coda: int = 1
    mean_recurrence: int = 10
    mean_backprop_depth: int = 5
    state_std: float = math.sqrt(2 / 5)
    norm_eps: float = 1e-6
    rope_theta: float = 100.0  # prompts are short
    max_position_embeddings: int = CONTEXT

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE of `x` [B, K, S, h] with halves rotated against each other; `cos` and `sin` are [B, 1, S, h]."""
    one, other = x.chunk(2, -1)
    return x * cos + torch.cat((-other, one), -1) * sin


class Block(nn.Module):
    """A transformer block with sandwich norms: [B, S, D] and the layer's cache to [B, S, D] and the longer cache."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, hidden = config.hidden_size, config.intermediate_size
        self.heads, self.head_size = config.num_attention_heads, config.head_size
        self.norm_1, self.norm_2, self.norm_3, self.norm_4 = (RMSNorm(width, config.norm_eps) for _ in range(4))
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(4))
        # Biases of queries and keys, as in Huginn: with them a head can attend by distance alone.
        self.qk_bias = nn.Parameter(torch.zeros(2, self.heads, 1, self.head_size))
        self.gate_proj, self.up_proj = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, bias: Tensor | None, cos: Tensor, sin: Tensor, past: Cache | None) -> tuple[Tensor, Cache]:
        batch, length, width = x.shape
        normed = self.norm_1(x)

        def heads(projection: nn.Linear) -> Tensor:
            return projection(normed).view(batch, length, self.heads, self.head_size).transpose(1, 2)

        query = rotate(heads(self.q_proj) + self.qk_bias[0], cos, sin)
        key, value = rotate(heads(self.k_proj) + self.qk_bias[1], cos, sin), heads(self.v_proj)
        if past is not None:
            key, value = torch.cat((past[0], key), 2), torch.cat((past[1], value), 2)
        if bias is None:
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            scores = query @ key.transpose(2, 3) * self.head_size**-0.5 + bias
            mixed = scores.softmax(-1) @ value
        mixed = self.o_proj(mixed.transpose(1, 2).reshape(batch, length, width))
        x = self.norm_2(mixed + x)
        normed_2 = self.norm_3(x)
        x = self.norm_4(self.down_proj(F.silu(self.gate_proj(normed_2)) * self.up_proj(normed_2)) + x)
        return x, (key, value)


class Part(nn.Module):
    """Blocks in a row, shared by prelude, core and coda, with what they need of positions and mask."""

    def __init__(self, config: Config, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(layers))
        exponents = torch.arange(0, config.head_size, 2).float() / config.head_size
        self.register_buffer("frequencies", config.rope_theta**-exponents, persistent=False)

    def blocks(
        self, x: Tensor, mask: Tensor | None, positions: Tensor, past: list[Cache] | None
    ) -> tuple[Tensor, list[Cache]]:
        """`mask` [B, P + S] is 1 where a token stands; None: no padding on the left and no cache (training)."""
        angles = positions[:, None, :, None].float() * torch.cat((self.frequencies, self.frequencies))
        cos, sin = angles.cos(), angles.sin()
        bias = None if mask is None else attention_bias(mask, x.shape[1])
        caches = []
        for i, layer in enumerate(self.layers):
            x, cache = layer(x, bias, cos, sin, None if past is None else past[i])
            caches.append(cache)
        return x, caches


def attention_bias(mask: Tensor, length: int) -> Tensor:
    """[B, 1, S, P + S]: 0 where a position may attend (causal, and a token stands there), the lowest number elsewhere."""
    total = mask.shape[1]
    columns = torch.arange(total, device=mask.device)
    rows = columns[total - length :]
    allowed = (columns[None, :] <= rows[:, None])[None, None] & (mask[:, None, None, :] > 0)
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)


class Prelude(Part):
    def __init__(self, config: Config) -> None:
        super().__init__(config, config.n_layers_in_prelude)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.scale = math.sqrt(config.hidden_size)

    def forward(self, ids: Tensor, mask: Tensor | None, positions: Tensor, past: list[Cache] | None = None):
        return self.blocks(self.embed_tokens(ids) * self.scale, mask, positions, past)


class Core(Part):
    """One recurrence."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, config.n_layers_in_recurrent_block)
        self.adapter = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self, state: Tensor, embedded: Tensor, mask: Tensor | None, positions: Tensor, past: list[Cache] | None = None
    ):
        return self.blocks(self.adapter(torch.cat((state, embedded), -1)), mask, positions, past)


class Coda(Part):
    def __init__(self, config: Config) -> None:
        super().__init__(config, config.n_layers_in_coda)
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)  # tied to the embedding

    def forward(self, state: Tensor, mask: Tensor | None, positions: Tensor, past: list[Cache] | None = None):
        x, caches = self.blocks(state, mask, positions, past)
        return self.lm_head(self.norm(x)), caches


class Recurrent(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.prelude, self.core, self.coda = Prelude(config), Core(config), Coda(config)
        self.coda.lm_head.weight = self.prelude.embed_tokens.weight

    def forward(self, ids: Tensor, steps: int, backprop: int, generator: torch.Generator) -> Tensor:
        """Logits [B, S, V] of right-padded texts after `steps` recurrences; gradients flow through the last `backprop`."""
        return self.run(ids, self.initial_state((*ids.shape, self.config.hidden_size), generator), steps, backprop)

    def run(self, ids: Tensor, state: Tensor, steps: int, backprop: int = 0) -> Tensor:
        """Logits [B, S, V] from the given h_0 [B, S, D]."""
        positions = torch.arange(ids.shape[1])[None]
        embedded, _ = self.prelude(ids, None, positions)
        with torch.no_grad():
            for _ in range(steps - backprop):
                state, _ = self.core(state, embedded, None, positions)
        for _ in range(min(steps, backprop)):
            state, _ = self.core(state, embedded, None, positions)
        return self.coda(state, None, positions)[0]

    def initial_state(self, shape: torch.Size | tuple[int, ...], generator: torch.Generator) -> Tensor:
        """h_0 ~ N(0, sigma^2) of every position, without truncation."""
        return torch.randn(shape, generator=generator) * self.config.state_std


def new_network(config: Config, seed: int) -> Recurrent:
    """A freshly initialised network: N(0, 2 / (5 D)) of Takase et al. as in the paper, residual outputs scaled by 1/sqrt(2 L)."""
    torch.manual_seed(seed)
    network = Recurrent(config)
    std = math.sqrt(2 / (5 * config.hidden_size))
    layers = config.n_layers_in_prelude + config.n_layers_in_coda
    layers += config.n_layers_in_recurrent_block * config.mean_recurrence
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "qk_bias" in name:
                parameter.normal_(0, 1)
            elif parameter.dim() > 1:
                parameter.normal_(0, std / (math.sqrt(2 * layers) if "o_proj" in name or "down_proj" in name else 1))
        # Blocks of prelude and coda begin as identities (up to the norm): what they can do without recurrence is learnt last.
        for part in (network.prelude, network.coda):
            for layer in part.layers:
                layer.o_proj.weight.zero_()
                layer.down_proj.weight.zero_()
        # The core begins as a residual stream, state / 2 + e, so that what one recurrence found reaches the next.
        identity = torch.eye(config.hidden_size)
        network.core.adapter.weight.copy_(torch.cat((identity / 2, identity), 1))
    return network


def save_network(network: Recurrent, folder: Path) -> None:
    """Writes config.json, generation_config.json and model.safetensors."""
    special = dict(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    layers = len(network.prelude.layers) + len(network.core.layers) + len(network.coda.layers)
    config = dict(
        model_type="circadian_recurrent",
        dtype="float32",
        **asdict(network.config),
        num_key_value_heads=network.config.num_attention_heads,
        num_hidden_layers=layers,
        **special,
    )
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(dict(**special, max_new_tokens=4), indent=2) + "\n")
    weights = {name: tensor for name, tensor in network.state_dict().items() if name != TIED}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load_network(folder: Path) -> Recurrent:
    """A trained network from a folder with config.json and model.safetensors, frozen, in evaluation mode."""
    stored = json.loads((folder / "config.json").read_text())
    network = Recurrent(Config(**{name: stored[name] for name in Config.__dataclass_fields__}))
    weights = load_file(folder / "model.safetensors")
    network.load_state_dict({**weights, TIED: weights["prelude.embed_tokens.weight"]})
    return network.eval().requires_grad_(False)

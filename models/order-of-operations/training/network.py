"""The network: a small Llama, built, loaded and run with transformers, so that every export sees the original code."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from vocabulary import BOS, EOS, PAD, WORDS


def llama_config() -> LlamaConfig:
    """0.82 million parameters. 128 positions hold every prompt (at most 18 tokens) and answer (at most 39) twice over."""
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        rope_theta=10_000.0,
        initializer_range=0.02,
        tie_word_embeddings=False,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )


def new_network(seed: int) -> LlamaForCausalLM:
    """A freshly initialised network: N(0, .02), embeddings N(0, .05), residual outputs scaled by 1/sqrt(2 L)."""
    torch.manual_seed(seed)
    network = LlamaForCausalLM(llama_config())
    network.generation_config = GenerationConfig(
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, do_sample=False, max_new_tokens=48
    )
    depth = (2 * network.config.num_hidden_layers) ** -0.5
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "embed_tokens" in name:
                parameter.normal_(0, 0.05)
                parameter[PAD] = 0
            elif parameter.dim() > 1:
                parameter.normal_(0, 0.02 * (depth if "o_proj" in name or "down_proj" in name else 1))
    return network


def load_network(folder: Path) -> LlamaForCausalLM:
    """A trained network from a folder with config.json and model.safetensors, frozen, in evaluation mode."""
    network = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return network.eval().requires_grad_(False)

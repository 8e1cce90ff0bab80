"""The vocabulary and the tokenizer files of the model directory.

`python vocabulary.py` writes tokenizer.json, tokenizer_config.json and special_tokens_map.json. A word is a token; text is
lower-cased and cut into runs of letters, single digits and single other characters.
"""

from __future__ import annotations

import json

import task

SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "<|assistant|>"]
WORDS = [
    *SPECIAL,
    *task.DIGITS,
    *task.PLACES,
    *[one + other for one in task.PLACES for other in task.PLACES if one != other],
    *["+", "-", "*", ">", "<", "^", "=", ":", "?"],
    *task.FAMILIES,
    *["check", "true", "false"],
]
ID = {word: i for i, word in enumerate(WORDS)}
PAD, BOS, EOS, UNK, ASSISTANT = (ID[w] for w in SPECIAL)
CHECK, TRUE, FALSE = (ID[w] for w in ("check", "true", "false"))
CONTEXT = 64  # the longest prompt has 39 tokens, an answer 2, a verdict 2

# The model has one turn and no system message: a system message is left out.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + eos_token }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def encode(words: list[str]) -> list[int]:
    return [ID[word] for word in words]


def tokenizer_json() -> dict:
    added = [
        dict(id=ID[w], content=w, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        for w in SPECIAL
    ]
    # Written out instead of \s, whose members differ between the Rust and the JavaScript regular expressions.
    pattern = "[a-z]+|[0-9]|[^a-z0-9 \\t\\n\\r\\u00a0]"
    return dict(
        version="1.0",
        truncation=None,
        padding=None,
        added_tokens=added,
        normalizer=dict(type="Lowercase"),
        pre_tokenizer=dict(type="Split", pattern=dict(Regex=pattern), behavior="Removed", invert=True),
        post_processor=None,
        decoder=None,
        model=dict(type="WordLevel", vocab=ID, unk_token="<unk>"),
    )


def tokenizer_config() -> dict:
    return dict(
        tokenizer_class="PreTrainedTokenizerFast",
        model_max_length=CONTEXT,
        padding_side="left",
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


if __name__ == "__main__":
    for name, content in {
        "tokenizer.json": tokenizer_json(),
        "tokenizer_config.json": tokenizer_config(),
        "special_tokens_map.json": {f"{k}_token": f"<{k}>" for k in ("bos", "eos", "pad", "unk")},
    }.items():
        (task.MODEL_DIR / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

# LiteLLM's SDK (pip install litellm) with a running server; SERVER is the server's address.
import os

import litellm
import openai

litellm.suppress_debug_info = True
server = os.environ.get("SERVER", "http://localhost:8080")
ask = {
    "api_base": f"{server}/v1",
    "api_key": os.environ.get("API_KEY", "unused"),
    "messages": [{"role": "user", "content": "Eve at the school: 6 + 4 * 7 - 4 - 5 = ?"}],
    # Everything of ours is in `circadian`.
    "extra_body": {"circadian": {"learn": False}},
}

# `openai/` is the API that the server speaks, the rest is the name of the model.
draft = litellm.completion(model="openai/circadian/greedy", **ask)
print("greedy:", draft.choices[0].message.content)

answer = ""
reasoning = ""
stream = litellm.completion(
    model="openai/circadian/latentseek", seed=7, stream=True, stream_options={"include_usage": True}, **ask
)
for chunk in stream:
    for choice in chunk.choices:
        answer += choice.delta.content or ""
        reasoning += getattr(choice.delta, "reasoning_content", None) or ""
    usage = getattr(chunk, "usage", None)
    if usage:
        found = usage.completion_tokens_details.reasoning_tokens
        print(f"latentseek: {answer} ({usage.completion_tokens} tokens, and {found} to find it)")
print("its search begins with:", reasoning.strip().splitlines()[0])


def refusal(**change) -> str:
    try:
        litellm.completion(**{"model": "openai/circadian/greedy", **ask, **change})
    except openai.APIError as error:
        return type(error).__name__
    return "accepted"


print("unknown model:", refusal(model="openai/gpt-5"))
print("parameter that is not supported:", refusal(logprobs=True))
print("conversation that is too long:", refusal(messages=[{"role": "user", "content": "1 + " * 2000}]))

# OpenAI's client for Python (pip install openai) with a running server; SERVER is the server's address.
import os

import openai

server = os.environ.get("SERVER", "http://localhost:8080")
client = openai.OpenAI(base_url=f"{server}/v1", api_key=os.environ.get("API_KEY", "unused"))
messages = [{"role": "user", "content": "Eve at the school: 6 + 4 * 7 - 4 - 5 = ?"}]

print("models:", ", ".join(model.id for model in client.models.list()))

# Everything of ours is in `circadian`.
ours = {"circadian": {"learn": False}}
draft = client.chat.completions.create(model="circadian/greedy", messages=messages, extra_body=ours)
print("greedy:", draft.choices[0].message.content)

answer = ""
stream = client.chat.completions.create(
    model="circadian/latentseek",
    messages=messages,
    seed=7,
    stream=True,
    stream_options={"include_usage": True},
    extra_body=ours,
)
for chunk in stream:
    if chunk.choices:
        answer += chunk.choices[0].delta.content or ""
    if chunk.usage:
        reasoning = chunk.usage.completion_tokens_details.reasoning_tokens
        print(f"latentseek: {answer} ({chunk.usage.completion_tokens} tokens, and {reasoning} to find it)")

response = client.responses.create(model="circadian/auto", input=messages, store=False)
print("response:", response.status)

try:
    client.chat.completions.create(model="circadian/greedy", messages=messages, logprobs=True)
except openai.BadRequestError as error:
    print("refused:", error.param)

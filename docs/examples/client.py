"""OpenAI's own SDK for Python against Runestone: only the address and the key are different.

pip install openai
export RUNESTONE_API_KEY=sk-rs-…
python docs/examples/client.py
"""

import os

from openai import APIStatusError, OpenAI

URL = os.environ.get("RUNESTONE_URL", "http://localhost:4001")

client = OpenAI(base_url=f"{URL}/v1", api_key=os.environ["RUNESTONE_API_KEY"])
messages = [{"role": "user", "content": "Say hello."}]

# An answer as a whole. Runestone's own fields ride beside OpenAI's.
answer = client.chat.completions.create(
    model="gpt-4o-mini", messages=messages, extra_body={"request_id": "order-17"}
)
print("answer:", answer.choices[0].message.content)
print("by:", answer.provider, "as", answer.request_id)

# A stream, with what it used in its last chunk.
print("stream: ", end="")
stream = client.chat.completions.create(
    model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage:
        print(f" ({chunk.usage.total_tokens} tokens)")

# What can be asked, and what it costs.
for model in client.models.list():
    print("model:", model.id, model.cost_per_1k_tokens)

# Errors are the SDK's own.
try:
    client.chat.completions.create(model="nothing", messages=messages)
except APIStatusError as error:
    print("error:", error.status_code, error.code)

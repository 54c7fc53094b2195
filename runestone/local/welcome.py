"""What is said once everything runs: where it is, how to get in, and calls to try at once."""

import json
from dataclasses import dataclass
from typing import Any

from runestone.local.errors import StepFailedError

KEY_VARIABLE = "RUNESTONE_API_KEY"

HELLO = '"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]'

# Nothing that is meant to be copied is indented: Python would not take it.
TEXT = """
Runestone is ready at {url}   (Ctrl-C stops everything)

  Admin    {url}/admin/   {login}
  API key  {key_line}

-- curl ------------------------------------------------------------------------
{curl_json}

-- curl, streaming -------------------------------------------------------------
{curl_stream}

-- Python (pip install openai) -------------------------------------------------
{python}
"""
CURL = """\
curl {flags}{url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{{{body}}}'"""

PYTHON = """\
import os
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key={key})
hello = {{{hello}}}
print(client.chat.completions.create(**hello).choices[0].message.content)
for chunk in client.chat.completions.create(**hello, stream=True):
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)"""


@dataclass(frozen=True)
class Seeded:
    """What the seed made. The password and the key exist here only: they are told once."""

    admin_username: str = "admin"
    admin_password: str = ""
    api_key: str = ""


def read_seeded(output: str) -> Seeded:
    """The seed prints one line of JSON; on later runs it has no secrets to tell."""
    try:
        told: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return Seeded(
            admin_username=told["admin_username"],
            admin_password=told.get("admin_password") or "",
            api_key=told.get("api_key") or "",
        )
    except (IndexError, KeyError, ValueError) as problem:
        raise StepFailedError(f"The seed did not print what it made: {problem!r}") from problem


def welcome(url: str, seeded: Seeded) -> str:
    key = seeded.api_key or f"${KEY_VARIABLE}"
    python_key = f'"{seeded.api_key}"' if seeded.api_key else f'os.environ["{KEY_VARIABLE}"]'
    return TEXT.format(
        url=url,
        login=_login(seeded),
        key_line=_key_line(url, seeded),
        curl_json=CURL.format(flags="", url=url, key=key, body=HELLO),
        curl_stream=CURL.format(flags="-N ", url=url, key=key, body=f'{HELLO}, "stream": true'),
        python=PYTHON.format(url=url, key=python_key, hello=HELLO),
    )


def told_anyway(seeded: Seeded) -> str:
    """The first run failed, but what it made is there, and nobody else knows its secrets."""
    if not seeded.api_key:
        return ""
    return f"Admin login {_login(seeded)}\nAPI key {seeded.api_key}   (shown this once)"


def _login(seeded: Seeded) -> str:
    if seeded.admin_password:
        return f"{seeded.admin_username} / {seeded.admin_password}   (shown this once)"
    return f"as {seeded.admin_username} (forgotten? manage.py changepassword)"


def _key_line(url: str, seeded: Seeded) -> str:
    if seeded.api_key:
        return f"{seeded.api_key}   (shown this once)"
    return f"the one shown on the first run, or a new one from {url}/admin/tenants/apikey/add/"

"""Requests made up from docs/openapi.yaml, right ones and wrong ones, against a live gateway.

`make fuzz` does the same with RUNESTONE_FUZZ_REQUESTS=20000, and tells what came of them.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.cast import open_account
from tests.gateway_process import GatewayProcess

ROOT = Path(__file__).parents[2]
REQUESTS = int(os.environ.get("RUNESTONE_FUZZ_REQUESTS", "0"))
SEED = os.environ.get("RUNESTONE_FUZZ_SEED", "7")
# In the suite: a look. `make fuzz` repeats with seeds one after the other until it has enough.
EXAMPLES_IN_SUITE = 8
EXAMPLES = 400
RUN_SECONDS_MAX = 1_800
CHECKS = (
    "answers_as_it_should,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)


def test_nothing_made_up_breaks_it(gateway: GatewayProcess, live: str, tmp_path: Path):
    key = open_account("Acme", budget_usd="1000000").key
    seen: Counter[str] = Counter()
    seed = int(SEED)
    while True:
        log = tmp_path / f"{seed}.log"
        ran = run(gateway, key, log, seed)
        seen += Counter(log.read_text().splitlines())
        assert ran.returncode == 0, f"seed {seed}\n{ran.stdout[-20_000:]}\n{ran.stderr[-2_000:]}"
        if seen.total() >= REQUESTS:
            break
        seed += 1
    assert "Traceback" not in gateway.log
    if REQUESTS:
        tell(seen, seed)


def run(
    gateway: GatewayProcess, key: str, log: Path, seed: int
) -> subprocess.CompletedProcess[str]:
    log.touch()
    # One worker: under two, Hypothesis stumbles over Python 3.11's parser (a SystemError).
    arguments = [
        *("run", str(ROOT / "docs" / "openapi.json"), "--url", gateway.root),
        *("--header", f"Authorization: Bearer {key}", "--checks", CHECKS),
        *("--phases", "examples,coverage,fuzzing" if REQUESTS else "examples,fuzzing"),
        *("--max-examples", str(EXAMPLES if REQUESTS else EXAMPLES_IN_SUITE)),
        *("--seed", str(seed), "--request-timeout", "15", "--no-shrink"),
        *("--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure"),
    ]
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *arguments],
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "tests.contract.fuzz_hooks",
            "RUNESTONE_FUZZ_LOG": str(log),
            "PYTHONPATH": str(ROOT),
        },
        # Where it leaves its own files.
        cwd=log.parent,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
    )


def tell(seen: Counter[str], seed: int) -> None:
    lines = [f"{count:7} {what}" for what, count in sorted(seen.items())]
    print(f"\n{seen.total()} requests, seeds {SEED} to {seed}:", *lines, sep="\n")  # noqa: T201

"""The process: reads the command line, binds the port, serves until a signal."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import FrameType

import uvicorn

from runestone.local.mock_provider import scenarios
from runestone.local.mock_provider.app import App
from runestone.local.mock_provider.bill import Bill
from runestone.local.mock_provider.prices import PriceTable
from runestone.local.mock_provider.provider import Provider

BACKLOG_MAX = 4_096
# Longer than any client pools an idle connection: whoever closes first loses a race.
KEEP_ALIVE_SECONDS = 300
# A deaf stream must not keep the process alive.
SHUTDOWN_SECONDS_MAX = 1


class Server(uvicorn.Server):
    """Says when it is ready, and does not wait for its clients at the end."""

    ready = ""

    # `typing.override` came with Python 3.12.
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, then tell the parent, who reads this line."""
        await super().startup(sockets)
        print(self.ready, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hang up on whoever still waits: their calls end, and are billed, as if they had."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until SIGTERM or SIGINT, then leave with 0."""
    options = _options()
    bill = Bill(options.bill or _new_bill())
    prices = PriceTable.load(options.prices)
    app = App(Provider(bill, prices, options.api_key, options.scenario, options.seed))
    listener = socket.create_server((options.host, options.port), backlog=BACKLOG_MAX)
    url = f"http://{options.host}:{listener.getsockname()[1]}/v1"
    server = Server(_config(app))
    server.ready = f"mock provider listening on {url}, bill {bill.path}"
    # uvicorn raises the signal again once it has shut down; that is then the end.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    gc.freeze()
    server.run(sockets=[listener])


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _new_bill() -> Path:
    file, name = tempfile.mkstemp(prefix="runestone-mock-bill-", suffix=".jsonl")
    os.close(file)
    return Path(name)


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("mock_provider", description="A mock OpenAI provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4011, help="0 takes a free port")
    parser.add_argument("--bill", type=Path, help="append the bill to this file")
    parser.add_argument("--api-key", help="refuse calls without this key")
    parser.add_argument("--prices", type=Path, help="JSON {model: {input, cached_input, output}}")
    parser.add_argument("--scenario", default="", help="for calls that name none")
    parser.add_argument("--seed", type=int, default=0, help="of the scenarios with odds")
    options = parser.parse_args()
    try:
        for each in scenarios.alternatives(options.scenario):
            scenarios.parse(each)
    except scenarios.UnknownScenarioError as slip:
        parser.error(str(slip))
    return options


if __name__ == "__main__":
    main()

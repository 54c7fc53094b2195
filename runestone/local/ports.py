"""Whether a port is free, and whether what listens there is ready."""

import errno
import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from runestone.local.errors import PortTakenError

POLL_SECONDS = 0.1
ASK_SECONDS_MAX = 5.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with
PORT_MAX = 65535


@dataclass(frozen=True)
class Port:
    host: str
    number: int
    setting: str  # the variable that chooses another one

    @property
    def reachable_host(self) -> str:
        return EVERYWHERE.get(self.host, self.host)

    @property
    def url(self) -> str:
        host = self.reachable_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.number}"


def port_from(setting: str, text: str, host: str) -> Port:
    if not text.isdigit() or not 0 < int(text) <= PORT_MAX:
        raise PortTakenError(f"{setting} is {text!r}, which is no port number.")
    return Port(host, int(text), setting)


def require_free(port: Port, patience_seconds: float, pause: Callable[[float], None]) -> None:
    """Raise unless something could listen there. Patience is for a predecessor that still ends."""
    deadline = time.monotonic() + patience_seconds
    while (problem := _problem(port)) is not None:
        if problem.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
            raise PortTakenError(_words(port, problem))
        pause(POLL_SECONDS)


def what_is_missing(port: Port, path: str) -> str | None:
    """None when a GET there answers 200, else what it says. Never goes through a proxy."""
    connection = http.client.HTTPConnection(
        port.reachable_host, port.number, timeout=ASK_SECONDS_MAX
    )
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port.number}"})
        answer = connection.getresponse()
        body = answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as problem:
        return f"{port.url} does not answer ({str(problem) or type(problem).__name__})"
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return None
    return f"{port.url}{path} answers {answer.status}: {_one_line(body)}"


def _problem(port: Port) -> OSError | None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            port.host or None, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as problem:
        return problem
    return None


def _words(port: Port, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return (
            f"Port {port.number} is taken by another program."
            f" Stop that, or choose another port: {port.setting}={port.number + 10}"
        )
    return f"Cannot listen on {port.host or '*'}:{port.number}: {problem.strerror or problem}"


def _one_line(body: str) -> str:
    try:
        return json.dumps(json.loads(body))
    except ValueError:
        return " ".join(body.split())[:500]

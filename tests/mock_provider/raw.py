"""A client without manners or mercy: it shows the bytes that a provider really sent."""

import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10


@dataclass
class Reply:
    """All that came until the provider stopped sending."""

    head: bytes
    body: bytes
    reset: bool

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1])

    def chunks(self) -> list[bytes]:
        """The HTTP chunks; the last is b"" only if the body was ended properly."""
        found, rest = [], self.body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            found.append(rest[:length])
            rest = rest[length + 2 :]
        return found


def request(body: object, *, path: str = "/v1/chat/completions", **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: mock", f"content-length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + data


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), TIMEOUT_SECONDS)


def call(url: str, data: bytes) -> Reply:
    """Send, then read to the end, whichever way it ends."""
    received, reset = bytearray(), False
    with connect(url) as line:
        line.sendall(data)
        try:
            while piece := line.recv(65536):
                received += piece
        except ConnectionResetError:
            reset = True
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    return Reply(head, body, reset)

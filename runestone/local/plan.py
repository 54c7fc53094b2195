"""What Runestone consists of when it runs on one machine: servers, steps and services."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from runestone.local import secrets
from runestone.local.paths import REPO, Home, home
from runestone.local.ports import Port, port_from, what_is_missing
from runestone.local.postgres import Postgres, without_pg_variables
from runestone.local.process import Program
from runestone.local.supervisor import Plan, Server, Step
from runestone.local.valkey import Valkey
from runestone.local.welcome import Seeded, read_seeded, welcome

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = "4001"
DEFAULT_MOCK_PORT = "4011"
READY_PATH = "/health/ready"
WORKER_CONCURRENCY = "2"
# Open streams get this long to end when the gateway is asked to stop.
STREAMS_SECONDS_MAX = 5


@dataclass
class Stack:
    """One machine's Runestone, as the environment describes it."""

    home: Home
    environment: dict[str, str]
    gateway_port: Port
    mock_port: Port
    gateways: str
    servers: tuple[Server, ...]
    seeded: Seeded = field(default_factory=Seeded)

    def plan(self) -> Plan:
        return Plan(
            home=self.home,
            ports=(self.gateway_port, self.mock_port),
            servers=self.servers,
            steps=(
                Step(self._manage("migrate", "--noinput"), "database schema"),
                Step(self._manage("seed"), "demo tenant", self._remember_seeded),
                Step(self._manage("seed_keys"), "keys of RUNESTONE_API_KEYS"),
            ),
            services=(self._mock(), self._gateway(), self._worker(), self._beat()),
            stopping=("gateway", "worker", "beat", "mock"),
            what_is_missing=lambda: what_is_missing(self.gateway_port, READY_PATH),
            when_ready=lambda: welcome(self.gateway_port.url, self.seeded),
        )

    def _remember_seeded(self, output: str) -> None:
        self.seeded = read_seeded(output)

    def _gateway(self) -> Program:
        return self._module(
            "gateway",
            *("uvicorn", "runestone.asgi:application"),
            *("--host", self.gateway_port.host, "--port", str(self.gateway_port.number)),
            *("--workers", self.gateways, "--loop", "uvloop", "--http", "httptools"),
            *("--lifespan", "on", "--no-access-log", "--log-level", "warning"),
            # Whom to believe is the gateway's own question (RUNESTONE_TRUSTED_PROXIES).
            "--no-proxy-headers",
            *("--timeout-graceful-shutdown", str(STREAMS_SECONDS_MAX)),
        )

    def _worker(self) -> Program:
        return self._module(
            "worker",
            *("celery", "-q", "-A", "runestone", "worker", "--concurrency", WORKER_CONCURRENCY),
            # There is one worker: it has nobody to synchronise or gossip with.
            *("--without-mingle", "--without-gossip", "--loglevel", "warning"),
        )

    def _beat(self) -> Program:
        schedule = str(self.home.data / "celerybeat-schedule")
        return self._module(
            "beat",
            *("celery", "-q", "-A", "runestone", "beat", "--schedule", schedule),
            *("--pidfile", "", "--loglevel", "warning"),
        )

    def _mock(self) -> Program:
        bill = str(self.home.data / "mock-bill.jsonl")
        number = str(self.mock_port.number)
        return self._module(
            "mock", "runestone.local.mock_provider", "--port", number, "--bill", bill
        )

    def _manage(self, *arguments: str) -> Program:
        return self._python(arguments[0], str(REPO / "manage.py"), *arguments)

    def _module(self, name: str, *arguments: str) -> Program:
        return self._python(name, "-m", *arguments)

    def _python(self, name: str, *arguments: str) -> Program:
        argv = (sys.executable, *arguments)
        return Program(name, argv, self.environment, directory=REPO)


def from_environment(given: Mapping[str, str] = os.environ) -> Stack:
    here = home()
    servers, environment = _servers(here, given)
    secrets.fill(environment, here.data)
    mock_port = port_from(
        "RUNESTONE_MOCK_PORT", given.get("RUNESTONE_MOCK_PORT") or DEFAULT_MOCK_PORT, LOOPBACK
    )
    host = given.get("RUNESTONE_HOST") or LOOPBACK
    environment["RUNESTONE_MOCK_URL"] = f"{mock_port.url}/v1"
    environment["PYTHONUNBUFFERED"] = "1"
    return Stack(
        home=here,
        environment=environment,
        gateway_port=port_from("PORT", given.get("PORT") or DEFAULT_PORT, host),
        mock_port=mock_port,
        gateways=given.get("RUNESTONE_GATEWAYS") or "1",
        servers=servers,
    )


def _servers(here: Home, given: Mapping[str, str]) -> tuple[tuple[Server, ...], dict[str, str]]:
    """The servers to start, each only if the operator named none of his own."""
    servers: list[Server] = []
    urls: dict[str, str] = {}
    if not given.get("DATABASE_URL"):
        servers.append(Postgres(here))
        urls["DATABASE_URL"] = here.database_url()
    if not given.get("REDIS_URL"):
        servers.append(Valkey(here))
        urls["REDIS_URL"] = here.redis_url()
    ours = without_pg_variables(given) if "DATABASE_URL" in urls else dict(given)
    return tuple(servers), ours | urls

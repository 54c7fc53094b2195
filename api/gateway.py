"""One gateway: everything the hot path needs, put together, started and stopped as one."""

import asyncio
import logging

from django.conf import settings

from api.attempts import Drains, Resources
from api.cache import AnswerCache
from api.pipeline import Pipeline
from api.responses.desk import Desk
from api.responses.store import Store
from billing.holds import Accountant
from billing.pricing import PriceBook
from providers.breakers import Breakers
from providers.catalog import Catalog
from providers.client import Client, Timeouts
from providers.health import Health
from runestone.lib.database import Connection, conninfo
from runestone.lib.encryption import Vault
from runestone.lib.policy import RoutingPolicy
from runestone.lib.redis import connect
from runestone.lib.revisions import Revisions
from tenants.authentication import Authenticator

log = logging.getLogger(__name__)


class Gateway:
    """Belongs to the event loop that it was made in."""

    def __init__(self) -> None:
        info = conninfo(settings.DATABASES["default"])
        prices = PriceBook()
        self.catalog = Catalog()
        self.access = Authenticator(
            info,
            settings.RUNESTONE_KEY_PEPPER,
            anonymous_tenant=settings.RUNESTONE_ANONYMOUS_TENANT,
        )
        self._accountant = Accountant(info, prices)
        self._client = Client(
            Timeouts(
                connect=settings.RUNESTONE_CONNECT_SECONDS_MAX,
                first_byte=settings.RUNESTONE_FIRST_BYTE_SECONDS_MAX,
                idle=settings.RUNESTONE_IDLE_SECONDS_MAX,
                total=settings.RUNESTONE_TOTAL_SECONDS_MAX,
            ),
            user_agent=f"Runestone/{settings.VERSION}",
        )
        self._configuration = Connection(info)
        self._revisions = Revisions(self._configuration)
        self._revisions.watch("access", self.access.reload)
        # Prices first: a new model must not be served for a moment without them.
        self._revisions.watch("prices", prices.reload)
        self._revisions.watch("catalog", self.catalog.reload)
        self._redis = connect(settings.REDIS_URL)
        self.breakers = Breakers(self._redis, open_by_calls=settings.RUNESTONE_BREAKERS_ENABLED)
        self.health = Health(self._redis)
        self._drains = Drains(settings.RUNESTONE_DRAIN_SECONDS_MAX)
        resources = Resources(
            self._accountant,
            prices,
            self._client,
            self.breakers,
            self.health,
            drains=self._drains,
            repetitions_max=settings.RUNESTONE_REPETITIONS_MAX,
        )
        policy = RoutingPolicy(settings.RUNESTONE_ROUTER_POLICY)
        vault = Vault(settings.RUNESTONE_CREDENTIAL_KEYS)
        self._cache = AnswerCache(
            connect(settings.REDIS_URL, decodes=False),
            vault,
            settings.RUNESTONE_KEY_PEPPER,
            look_seconds_max=settings.RUNESTONE_CACHE_LOOK_SECONDS_MAX,
        )
        self.pipeline = Pipeline(self.access, self.catalog, resources, self._cache, policy)
        kept = Store(
            info,
            vault,
            days=settings.RUNESTONE_RESPONSES_DAYS,
            chain_bytes_max=settings.RUNESTONE_BODY_BYTES_MAX,
        )
        self.responses = Desk(self.access, self.pipeline, kept)

    async def start(self) -> None:
        if settings.RUNESTONE_ANONYMOUS_TENANT:
            log.warning(
                "AUTHENTICATION IS OFF (RUNESTONE_AUTH_ENABLED=false): whoever reaches this "
                "gateway may call it without a key, at the expense of tenant %s",
                settings.RUNESTONE_ANONYMOUS_TENANT,
            )
        await self._revisions.start()
        await self._accountant.start()
        await self.breakers.start()
        await self.health.start()

    async def check(self) -> None:
        """Raises Unavailable if the database does not answer."""
        await self._configuration.fetch("SELECT 1")

    async def stop(self) -> None:
        """Once no call is under way any more: settles what is waiting, and closes."""
        await self._drains.stop()
        await self._accountant.stop()
        await self.health.stop()
        await self.breakers.stop()
        await self._cache.close()
        await self._redis.aclose()
        await self._revisions.stop()
        await self._client.close()
        await self.access.close()
        await self.responses.close()
        await self._configuration.close()


_gateways: dict[asyncio.AbstractEventLoop, asyncio.Task[Gateway]] = {}


async def current() -> Gateway:
    """The running loop's gateway, started when it is first asked for."""
    loop = asyncio.get_running_loop()
    starting = _gateways.get(loop)
    if starting is None or (starting.done() and starting.exception() is not None):
        starting = _gateways[loop] = loop.create_task(_started())
    return starting.result() if starting.done() else await asyncio.shield(starting)


async def stop_current() -> None:
    starting = _gateways.pop(asyncio.get_running_loop(), None)
    if starting is not None:
        await (await starting).stop()


async def _started() -> Gateway:
    gateway = Gateway()
    await gateway.start()
    return gateway

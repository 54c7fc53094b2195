"""The providers' periodic work; runestone/celery.py says when."""

import asyncio
from collections.abc import Mapping

from celery import shared_task
from django.conf import settings

from providers import probes
from providers.board import Board
from providers.offers import Question
from runestone.lib.redis import connect


@shared_task
def probe() -> None:
    """Asks every enabled upstream whether it is there, and tells the gateways."""
    asyncio.run(_probe(probes.questions()))


async def _probe(asked: Mapping[str, Question]) -> None:
    async with connect(settings.REDIS_URL) as redis:
        await probes.probe(asked, Board(redis))

"""Redis for coroutines: an answer soon, or none.

Redis holds only what may be lost, so nobody waits for it long, and whoever uses it goes on without.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# A server that is there answers within milliseconds.
CONNECT_SECONDS_MAX = 1.0
ANSWER_SECONDS_MAX = 1.0
# A connection that the server has closed in the meantime is opened anew once.
RETRIES_MAX = 1

# What any command may raise when there is no answer.
GONE = (RedisError, OSError, TimeoutError)


def connect(url: str, *, decodes: bool = True) -> Redis:
    """A client that opens connections as it needs them; for one event loop, and to be closed.

    `decodes`: whether it gives text; else bytes.
    """
    client: Redis = Redis.from_url(
        url,
        # redis-py 8 would choose by itself, and answers differ in shape.
        protocol=2,
        decode_responses=decodes,
        socket_connect_timeout=CONNECT_SECONDS_MAX,
        socket_timeout=ANSWER_SECONDS_MAX,
        retry=Retry(NoBackoff(), RETRIES_MAX),
    )
    return client

FROM python:3.13-slim AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

WORKDIR /build
RUN python -m venv /opt/venv

# The dependencies alone, so that a change of the code does not install them again. The extras
# `local` and `dev` stay out: this image has no database in it and runs no tests.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/venv/bin/pip install --only-binary=:all: --requirement requirements.txt


FROM python:3.13-slim

ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN groupadd --system --gid 10001 runestone \
    && useradd --system --uid 10001 --gid runestone --home-dir /app --shell /usr/sbin/nologin runestone

WORKDIR /app
COPY --from=builder /opt/venv /opt/venv
COPY . .
# Compiled once here: the process may not write into its own code.
RUN mkdir staticfiles && python -m compileall -q /app

USER 10001:10001

EXPOSE 4001

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 4001, timeout=4); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]

# A gateway that cannot start must end (lifespan on), and one that is asked to stop gives open
# streams 50 seconds to end, so that their money is settled before a container engine kills it.
CMD ["uvicorn", "runestone.asgi:application", "--host", "0.0.0.0", "--port", "4001", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-proxy-headers", "--lifespan", "on", "--timeout-graceful-shutdown", "50"]

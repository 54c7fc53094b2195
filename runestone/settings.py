"""Every setting, read from the environment in one place; a wrong one fails loudly at start.

`NAME_FILE` may name a file that holds the value of `NAME` (Docker and Kubernetes secrets).
Nothing set at all means the embedded default: the servers of `make run`.
"""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from api.contract.options import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from runestone import __version__
from runestone.admin.look import UNFOLD as UNFOLD
from runestone.lib.encryption import Vault
from runestone.lib.policy import RoutingPolicy
from runestone.local import paths, secrets

BASE_DIR = Path(__file__).resolve().parent.parent


def _read_secret_files() -> None:
    for name, value in list(os.environ.items()):
        if name.endswith("_FILE") and name.removesuffix("_FILE") in _FILE_SETTINGS:
            os.environ.setdefault(name.removesuffix("_FILE"), Path(value).read_text().strip())


_FILE_SETTINGS = {
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "EMAIL_URL",
    "RUNESTONE_KEY_PEPPER",
    "RUNESTONE_CREDENTIAL_KEY",
    "RUNESTONE_API_KEYS",
    # The vendors' keys of a first run, see providers/vendors.json.
    "ANTHROPIC_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "GEMINI_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "TOGETHER_API_KEY",
}
_read_secret_files()
if not os.environ.get("DATABASE_URL"):
    # The embedded default makes and keeps its own; whoever brings a database brings secrets too.
    secrets.fill(os.environ)

env = environ.Env()

VERSION = __version__
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ENVIRONMENT = env.str("RUNESTONE_ENVIRONMENT", default="local")

# --- What Runestone is set to do -----------------------------------------------------------------

# Keyed hash of API keys. Changing it makes every key unknown.
RUNESTONE_KEY_PEPPER = env.str("RUNESTONE_KEY_PEPPER")
# Seals provider credentials. A comma-separated list while keys rotate: the first seals, all open.
RUNESTONE_CREDENTIAL_KEYS = env.list("RUNESTONE_CREDENTIAL_KEY")
if not (SECRET_KEY and RUNESTONE_KEY_PEPPER):
    raise ImproperlyConfigured("SECRET_KEY and RUNESTONE_KEY_PEPPER must not be empty")
try:
    Vault(RUNESTONE_CREDENTIAL_KEYS)
except ValueError as error:
    raise ImproperlyConfigured(f"RUNESTONE_CREDENTIAL_KEY: {error}") from None
# What a call is charged whose gateway died in the middle: its input, all that was held, or zero.
RUNESTONE_ORPHAN_POLICY = env.str("RUNESTONE_ORPHAN_POLICY", default="estimate")
if RUNESTONE_ORPHAN_POLICY not in ("estimate", "hold_max", "zero"):
    raise ImproperlyConfigured("RUNESTONE_ORPHAN_POLICY is estimate, hold_max or zero")
# A gateway is dead when its heartbeat is older than this and its database session is gone.
RUNESTONE_INSTANCE_SILENCE_SECONDS_MAX = env.float("RUNESTONE_INSTANCE_SILENCE_SECONDS_MAX", 15.0)
RUNESTONE_BODY_BYTES_MAX = env.int("RUNESTONE_BODY_BYTES_MAX", default=10 * 1024 * 1024)
# How long a response of /v1/responses can be retrieved and gone on from.
RUNESTONE_RESPONSES_DAYS = env.float("RUNESTONE_RESPONSES_DAYS", 30.0)
# Waits for a provider, in seconds: to connect, for the first byte, between bytes, altogether.
RUNESTONE_CONNECT_SECONDS_MAX = env.float("RUNESTONE_CONNECT_SECONDS_MAX", 5.0)
RUNESTONE_FIRST_BYTE_SECONDS_MAX = env.float("RUNESTONE_FIRST_BYTE_SECONDS_MAX", 300.0)
RUNESTONE_IDLE_SECONDS_MAX = env.float("RUNESTONE_IDLE_SECONDS_MAX", 120.0)
RUNESTONE_TOTAL_SECONDS_MAX = env.float("RUNESTONE_TOTAL_SECONDS_MAX", 600.0)
# How long an answer is read on whose caller hung up, for tenants that want its real usage.
RUNESTONE_DRAIN_SECONDS_MAX = env.float("RUNESTONE_DRAIN_SECONDS_MAX", 15.0)
# A look into the cache takes less than a millisecond; for so long it is waited for.
RUNESTONE_CACHE_LOOK_SECONDS_MAX = env.float("RUNESTONE_CACHE_LOOK_SECONDS_MAX", 0.05)
# By which rule one of several upstreams is chosen, unless a tenant or a request says otherwise.
RUNESTONE_ROUTER_POLICY = env.str("RUNESTONE_ROUTER_POLICY", default="default")
if RUNESTONE_ROUTER_POLICY not in list(RoutingPolicy):
    raise ImproperlyConfigured(f"RUNESTONE_ROUTER_POLICY is one of {', '.join(RoutingPolicy)}")
# Whether an upstream whose calls fail is left alone for a while.
RUNESTONE_BREAKERS_ENABLED = env.bool("RUNESTONE_BREAKERS_ENABLED", default=True)
# How often a call is brought to the same upstreams again, once all of them have refused it.
RUNESTONE_REPETITIONS_MAX = env.int("RUNESTONE_REPETITIONS_MAX", default=1)

# How long a stream may be silent before a comment keeps its connection open; 0: for ever.
RUNESTONE_KEEP_ALIVE_SECONDS = env.float("RUNESTONE_KEEP_ALIVE_SECONDS", 15.0)
if not 0 <= RUNESTONE_KEEP_ALIVE_SECONDS <= 3600:
    raise ImproperlyConfigured("RUNESTONE_KEEP_ALIVE_SECONDS is 0 to 3600")


def _list(name: str) -> list[str]:
    return [entry.strip() for entry in env.list(name, default=[]) if entry.strip()]


# Keys made elsewhere, `tenant-slug:key`; `manage.py seed_keys` stores them.
RUNESTONE_API_KEYS = _list("RUNESTONE_API_KEYS")
# Whose money a call without a key spends; empty unless authentication is off.
RUNESTONE_ANONYMOUS_TENANT = env.str("RUNESTONE_ANONYMOUS_TENANT", default="demo")
if env.bool("RUNESTONE_AUTH_ENABLED", default=True):
    RUNESTONE_ANONYMOUS_TENANT = ""
# Networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
RUNESTONE_TRUSTED_PROXIES = _list("RUNESTONE_TRUSTED_PROXIES")
for _network in RUNESTONE_TRUSTED_PROXIES:
    try:
        ip_network(_network)
    except ValueError as error:
        raise ImproperlyConfigured(f"RUNESTONE_TRUSTED_PROXIES: {error}") from None
# Origins of the web pages that may call /v1 from a browser; `*` for all.
RUNESTONE_CORS_ORIGINS = _list("RUNESTONE_CORS_ORIGINS")
for _origin in RUNESTONE_CORS_ORIGINS:
    if not re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[a-z0-9.:\[\]_-]+", _origin):
        raise ImproperlyConfigured(
            f"RUNESTONE_CORS_ORIGINS: {_origin!r} is not `*` or like https://app.example.com"
        )
RUNESTONE_HTTPS_REDIRECT = env.bool("RUNESTONE_HTTPS_REDIRECT", default=False)
RUNESTONE_HSTS_SECONDS = env.int("RUNESTONE_HSTS_SECONDS", default=0)

# --- Django --------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "tenants",
    "providers",
    "billing",
    "api",
    "runestone.local",
]

# The control plane's only: /v1 and /health never pass through these (runestone/asgi.py).
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "runestone.urls"
ASGI_APPLICATION = "runestone.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": env.db_url_config(os.environ.get("DATABASE_URL") or paths.database_url())
    | {
        # Under ASGI a kept connection belongs to a thread that may never come back.
        "CONN_MAX_AGE": 0,
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("REDIS_URL") or paths.redis_url()
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "runestone",
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": 1,
            "SOCKET_TIMEOUT": 1,
            # redis-py 8 would choose by itself, and answers differ in shape.
            "CONNECTION_POOL_KWARGS": {"protocol": 2},
        },
    },
}

CELERY_BROKER_URL = paths.celery_broker_url(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# Where mail goes, as a URL; the default writes it to the log of the worker that sends it.
globals().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("RUNESTONE_EMAIL_FROM", default="runestone@localhost")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["runestone.formats"]

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "runestone" / "static"]
# Served from the apps' own folders: no collectstatic step between a clone and the admin.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# The scheme is the caller's own by the time Django sees it (api/proxies.py).
SECURE_SSL_REDIRECT = RUNESTONE_HTTPS_REDIRECT
SECURE_HSTS_SECONDS = RUNESTONE_HSTS_SECONDS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = RUNESTONE_HTTPS_REDIRECT
# Other hosts of the domain, and browsers' preload lists, are not ours to decide about.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 8 * 60 * 60
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK: dict[str, Any] = {
    # /v1 authenticates in the pipeline; whatever else uses DRF states its own.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    # Describes the endpoints at /docs; answers nothing.
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "uvicorn.access": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        # One line for each request: probes would fill the log.
        "httpx": {"level": "WARNING"},
    },
}

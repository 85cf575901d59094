"""Every setting of the service, in one file. Reads the environment (NAME, or NAME_FILE for secrets); fails loudly."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import make_conninfo

from auditor.core import embedded
from auditor.core.embedded_places import state_dir

BASE_DIR = Path(__file__).resolve().parent.parent


def read(name: str, default: str = "") -> str:
    """The value of an environment variable, or the content of the file that NAME_FILE points at."""
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name}_FILE points at {path}, which cannot be read: {error}"
            ) from error
    return os.environ.get(name, default)


def flag(name: str) -> bool:
    value = read(name, "0").lower()
    if value not in {"0", "1", "false", "true"}:
        raise ImproperlyConfigured(f"{name} is {value!r}; write 1 or 0.")
    return value in {"1", "true"}


def database(url: str) -> dict[str, Any]:
    """Django's settings for a postgresql:// URL. Query parameters become connection options."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must begin with postgresql://, for example postgresql://user:pw@host/db"
        )
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "auditor",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or "") or read("DATABASE_PASSWORD"),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or options.pop("port", "")),
        "OPTIONS": {**options, "pool": False},
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
    }


# --- where things are ----------------------------------------------------------------------

STATE_DIR = state_dir()
SECRETS_DIR = STATE_DIR / "secrets"
ARTIFACTS_DIR = STATE_DIR / "artifacts"
UPLOADS_DIR = STATE_DIR / "uploads"
RUNS_DIR = STATE_DIR / "runs"
SCORES_DIR = STATE_DIR / "scores"
RESOURCES_DIR = Path(read("AUDITOR_RESOURCES") or STATE_DIR / "resources")
SIGNING_KEY_FILE = Path(read("SIGNING_KEY_FILE") or SECRETS_DIR / "signing_key.pem")
SIGNING_CERTIFICATE_FILE = Path(read("SIGNING_CERTIFICATE_FILE") or SECRETS_DIR / "signing_certificate.pem")

# --- the basics ------------------------------------------------------------------------------

DEBUG = flag("AUDITOR_DEBUG")
if "SECRET_KEY" in os.environ or "SECRET_KEY_FILE" in os.environ:
    SECRET_KEY = read("SECRET_KEY")
elif (SECRETS_DIR / "secret_key").exists():
    SECRET_KEY = (SECRETS_DIR / "secret_key").read_text().strip()
else:
    raise ImproperlyConfigured(
        "There is no secret key. Run `make setup`, or set SECRET_KEY or SECRET_KEY_FILE."
    )
ALLOWED_HOSTS = [h for h in read("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]").split(",") if h]
CSRF_TRUSTED_ORIGINS = [o for o in read("CSRF_TRUSTED_ORIGINS").split(",") if o]
PUBLIC_URL = read("PUBLIC_URL", "http://127.0.0.1:8000")

INSTALLED_APPS = [
    "auditor.accounts",
    "auditor.ledger",
    "auditor.registry",
    "auditor.policies",
    "auditor.audits",
    "auditor.reports",
    "auditor.api",
    "auditor.web",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "bootstrap",
    "csp",
    "django_htmx",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "auditor.core.middleware.DomainErrorMiddleware",
]
ROOT_URLCONF = "auditor.urls"
WSGI_APPLICATION = "auditor.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "auditor.web.context.page",
            ],
            "builtins": ["auditor.web.templatetags.ui"],
        },
    }
]

# --- data ------------------------------------------------------------------------------------

DATABASE_URL = read("DATABASE_URL") or embedded.database_url()
DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    # shared by all processes: sign-in rate limits must count across them
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "auditor_cache"}
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20
MAX_UPLOAD_BYTES = int(read("MAX_UPLOAD_BYTES", str(20 * 2**30)))

# --- work ------------------------------------------------------------------------------------

BROKER_URL = read("BROKER_URL")
CELERY_BROKER_URL = BROKER_URL or "pgmq://localhost"  # a name alone: transport options say where it is
if not BROKER_URL:
    CELERY_BROKER_TRANSPORT = "auditor.core.queue_tables:Transport"
    _db = DATABASES["default"]
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        # always given: pgmq would otherwise prefer DATABASE_URL over the broker URL
        "conn_string": make_conninfo(
            dbname=_db["NAME"],
            user=_db["USER"],
            password=_db["PASSWORD"],
            host=_db["HOST"],
            port=_db["PORT"] or None,
        ),
        "queue_name_prefix": read("QUEUE_PREFIX"),
        "init_extension": False,
        "use_notify": True,
        "wait_time_seconds": 0,
        "polling_interval": 5,
        "notify_throttle_interval_ms": 0,
        "visibility_timeout": 60,
    }
elif BROKER_URL.startswith("redis"):
    # the default sweep would bring a killed worker's message back only after about 100 s
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": 3600,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    }
CELERY_BROKER_POOL_LIMIT = 0  # wake-ups are rare: a connection kept for them would only go stale
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "work"
CELERY_WORKER_PREFETCH_MULTIPLIER = 16
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

WORKER_CONCURRENCY = int(read("WORKER_CONCURRENCY") or min(4, os.cpu_count() or 1))  # runs at a time
LEASE_SECONDS = int(read("LEASE_SECONDS", "30"))
MAX_ATTEMPTS = 3
RUN_WALL_SECONDS = int(read("RUN_WALL_SECONDS", "1800"))
RUN_MEMORY_BYTES = int(read("RUN_MEMORY_BYTES", str(12 * 2**30)))

SCORES_KEEP_DAYS = int(read("SCORES_KEEP_DAYS", "30"))  # answers of models, kept for later runs of the same
SCORES_MAX_BYTES = int(read("SCORES_MAX_BYTES", str(20 * 2**30)))

# --- endpoints -------------------------------------------------------------------------------


def networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """10.1.0.0/16,127.0.0.1/32"""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ImproperlyConfigured(
            f"EGRESS_ALLOW: {error}. Write networks such as 10.1.0.0/16,127.0.0.1/32."
        ) from error


def words(text: str) -> list[str]:
    return text.replace(",", " ").split()


# Networks that are not public and that audits of endpoints may reach all the same.
EGRESS_ALLOW = networks(read("EGRESS_ALLOW"))
# Certificate authorities (PEM) that are trusted besides the public ones.
EGRESS_CA_FILE = Path(read("EGRESS_CA_FILE")) if read("EGRESS_CA_FILE") else None
# Keys that seal the secrets of endpoints: the first seals, all open.
_credential_key = SECRETS_DIR / "credential_key"
CREDENTIAL_KEYS = words(
    read("CREDENTIAL_KEYS") or (_credential_key.read_text() if _credential_key.exists() else "")
)

# --- people ----------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "auditor.accounts.adapter.ClosedSignUp"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
API_TOKEN_PEPPERS = {
    1: read("API_TOKEN_PEPPER") or SECRET_KEY
}  # number -> pepper; the highest makes new tokens

SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "auditor.web.views.errors.csrf_failure"
if PUBLIC_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31536000
    # whether all of the domain, and for ever, is the decision of whoever owns it: put it in the proxy
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- words and files ---------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "auditor" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = STATE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": read("LOG_LEVEL", "WARNING")},
}

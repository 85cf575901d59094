"""Where the service is and which token is used: the environment first, then the file that `auditor login` writes."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_config_path

from auditor.client.exits import ClientError

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Config:
    """The service's base URL, without a slash at the end, and an API token (may be empty)."""

    url: str
    token: str


def config_file() -> Path:
    return user_config_path("model-auditor") / "client.json"


def read(url: str | None = None) -> Config:
    """The configuration in force. `url` overrides the rest; a token is never sent to a service it was not made for."""
    stored = _stored()
    chosen = check_url(url or os.environ.get("AUDITOR_URL") or stored.url or DEFAULT_URL)
    token = os.environ.get("AUDITOR_TOKEN") or (stored.token if stored.url == chosen else "")
    return Config(chosen, token)


def write(config: Config) -> Path:
    """Keep the configuration in a file that only its owner can read."""
    path = config_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".client-")  # 0600 from the start
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"url": config.url, "token": config.token}, file)
    os.replace(temporary, path)
    return path


def check_url(url: str) -> str:
    """The URL without a slash at its end. Raises ClientError where it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError(f"{url!r} is no address of a service. Write it like https://auditor.example.org.")
    return url.rstrip("/")


def _stored() -> Config:
    path = config_file()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Config(str(values["url"]), str(values["token"]))
    except FileNotFoundError:
        return Config("", "")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{path} cannot be read ({error}). Run `auditor login` again.") from error

"""One client for `/api/v1`: the token, problem+json as errors, and retries where repeating is safe."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from auditor import __version__
from auditor.client.config import Config
from auditor.client.exits import ApiError, Unreachable

ATTEMPTS = 5
FIRST_PAUSE = 0.5  # seconds, doubled each time
LONGEST_PAUSE = 30.0
PASSING = frozenset({429, 502, 503, 504})  # statuses that may be gone in a moment


class Client:
    """Talks to one service. GET, and POST with an Idempotency-Key, are repeated after a failure of the network."""

    def __init__(
        self,
        config: Config,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {
            "User-Agent": f"model-auditor/{__version__}",
            "Accept": "application/json, application/problem+json",
        }
        if config.token:
            headers["Authorization"] = f"Bearer {config.token}"
        self.url = config.url
        self.sleep = sleep
        self._http = httpx.Client(
            base_url=f"{config.url}/api/v1/",
            headers=headers,
            timeout=httpx.Timeout(300, connect=10),  # completing an upload hashes all of it
            transport=transport,
            follow_redirects=False,  # a token goes to the host it was given for, and to no other
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: dict[str, Any] | None = None, etag: str = "") -> httpx.Response:
        """A 2xx answer, or a 304 where `etag` still holds."""
        return self._repeat("GET", path, params=params, headers={"If-None-Match": etag} if etag else {})

    def get_json(self, path: str, params: dict[str, Any] | None = None) -> Any:
        return _json(self.get(path, params))

    def post(self, path: str, body: Any = None, key: str = "") -> Any:
        """The answer to a POST. The same `Idempotency-Key` goes with each repetition, so the work starts once."""
        response = self._repeat(
            "POST", path, json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())}
        )
        return _json(response) if response.content else None

    def put(self, path: str, body: Any) -> Any:
        """The answer to a PUT, which may be repeated as it is."""
        return _json(self._repeat("PUT", path, json=body))

    def put_bytes(self, path: str, data: bytes, offset: int) -> httpx.Response:
        """Send part of a file once. Raises httpx.TransportError too: only the caller knows where to go on."""
        return self._checked(
            self._http.put(
                path,
                content=data,
                headers={"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"},
            )
        )

    def delete(self, path: str) -> None:
        self._repeat("DELETE", path)

    def pauses(self) -> Iterator[float]:
        """The waits between attempts."""
        return iter([min(LONGEST_PAUSE, FIRST_PAUSE * 2**n) for n in range(ATTEMPTS - 1)])

    def _repeat(self, method: str, path: str, **parts: Any) -> httpx.Response:
        pauses = self.pauses()
        while True:
            try:
                response = self._http.request(method, path, **parts)
            except httpx.TransportError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise self.unreachable(error) from error
            else:
                pause = next(pauses, None) if _may_pass(response) else None
                if pause is None:
                    return self._checked(response)
                pause = min(LONGEST_PAUSE, max(pause, retry_after(response)))
            self.sleep(pause)

    def unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"The service at {self.url} does not answer ({type(error).__name__}: {error}). "
            "Check the address (AUDITOR_URL, or `auditor login`) and that it runs."
        )

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_success or response.status_code == 304:
            return response
        if response.is_redirect:
            raise Unreachable(
                f"{self.url} answers with a redirect to {response.headers.get('Location')}. Use that URL."
            )
        raise _problem(response)


def retry_after(response: httpx.Response, default: float = 0.0) -> float:
    """Seconds to wait as the service asks for, which may be written as a date by a proxy: then `default`."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else default


def _may_pass(response: httpx.Response) -> bool:
    """Whether asking again is worth it: the service is busy, perhaps with an earlier try of this very request."""
    if response.status_code == 409:
        return _problem(response).code == "idempotency_in_flight"
    return response.status_code in PASSING


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise Unreachable(
            f"{response.url} answered {response.status_code} with something that is not JSON. "
            "Is this address a Model Auditor service?"
        ) from error


def _problem(response: httpx.Response) -> ApiError:
    status = response.status_code
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    errors = tuple(
        (str(e.get("pointer", "")), str(e.get("detail", "")))
        for e in body.get("errors") or ()
        if isinstance(e, dict)
    )
    detail = str(
        body.get("detail") or body.get("title") or f"The service answered {status} without saying why."
    )
    if status == 401:
        detail += " Run `auditor login`, or set AUDITOR_TOKEN."
    return ApiError(status, str(body.get("code", "")), detail, errors, str(body.get("request_id", "")))

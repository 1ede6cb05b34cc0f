"""Access to Google's APIs as a service account, by `google-auth` over our connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Final

import httpx2
from google.auth import transport
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account

from echolia.core.errors import EcholiaError
from echolia.payments.stores.connection import reason_of, trusted
from echolia.payments.stores.unavailable import Reason, StoreUnavailable
from echolia.payments.stores.workers import Workers

_SCOPES: Final = ("https://www.googleapis.com/auth/androidpublisher",)


class _Response(transport.Response):
    """As the library wants it."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers."""
        return self._response.headers

    @property
    def data(self) -> bytes:
        """The body."""
        return self._response.content


class _Transport(transport.Request):
    """How the library's requests travel; it is called in a worker thread.

    What may be better later is raised here: the library would try it again by itself, waiting in its thread.
    """

    def __init__(self, timeout_s: float) -> None:
        self._http = httpx2.Client(
            verify=trusted(), trust_env=False, follow_redirects=False, timeout=timeout_s
        )

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **more: object,
    ) -> transport.Response:
        """The answer. Raises: `StoreUnavailable`."""
        failed: Reason
        try:
            response = self._http.request(method, url, content=body, headers=_sent(headers or {}))
        except httpx2.TimeoutException:
            failed = "timeout"
        except (httpx2.HTTPError, httpx2.InvalidURL):
            failed = "unreachable"
        else:
            reason = reason_of(response.status_code)
            if reason is None:
                return _Response(response)
            failed = reason
        raise StoreUnavailable(failed)

    def close(self) -> None:
        """End its connections."""
        self._http.close()


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    """Nothing of what the library says of itself and of this machine."""
    sent = {"accept-encoding": "identity", "user-agent": "echolia"}
    return sent | {name: value for name, value in headers.items() if name.lower() == "content-type"}


class GoogleTokens:
    """An access token, renewed when it is about to expire."""

    def __init__(self, key_file: str, timeout_s: float, workers: Workers) -> None:
        credentials = _credentials(key_file)
        if credentials is None:
            raise EcholiaError("settings_invalid", "Google's service account is no key file")
        self._credentials = credentials
        self._transport = _Transport(timeout_s)
        self._workers = workers
        self._lock = asyncio.Lock()

    async def authorization(self) -> str:
        """The header's value. Raises: `StoreUnavailable`."""
        async with self._lock:
            if not self._credentials.valid:
                await self._workers.run(self._renew)
            return f"Bearer {self._credentials.token}"

    def forget(self) -> None:
        """The store did not take the token: the next request asks for another."""
        self._credentials.token = None

    def _renew(self) -> None:
        try:
            self._credentials.refresh(self._transport)  # type: ignore[no-untyped-call]
            return
        except StoreUnavailable:
            raise
        except GoogleAuthError:  # what it says has the answer in it
            failed: Reason = "credentials"
        except Exception:  # noqa: BLE001  # an answer of another form ends in whatever the library met
            failed = "malformed"
        raise StoreUnavailable(failed)

    def close(self) -> None:
        """End its connections."""
        self._transport.close()


def _credentials(key_file: str) -> service_account.Credentials | None:
    try:
        found: service_account.Credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            json.loads(key_file), scopes=_SCOPES
        )
        return found
    except (ValueError, GoogleAuthError, AttributeError, TypeError):
        return None

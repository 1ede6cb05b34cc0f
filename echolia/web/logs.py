"""The log: a closed set of events, allow-listed fields that pass a check, exceptions as their type; nothing
else.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

Check = Callable[[Any], bool]
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNLISTED: Final = "unlisted"

# What a line about a request holds, in this order: `AccessLog` composes it.
REQUEST_FIELDS: Final = (
    "event", "level", "at", "request_id", "method", "route", "status", "ms", "bytes_in", "bytes_out",
)  # fmt: skip

_ROUTE: Final = re.compile(r"(/[a-z_.{}-]*)+|unmatched")
_TYPE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{16}")
_VERSION: Final = re.compile(r"[0-9][0-9a-z.+]{0,30}")
_LIBRARIES: Final = frozenset(
    {
        "uvicorn",
        "asyncio",
        "fastapi",
        "starlette",
        "aiohttp",
        "limits",
        "py",
        "concurrent",
        "redis",
        "psycopg",
    }
)


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 2**53


EVENTS: Final[Mapping[str, Mapping[str, Check]]] = {
    "server_started": {"version": _matches(_VERSION), "port": _number},
    "server_stopped": {},
    "request": {},  # written by AccessLog, which composes its lines from checked parts
    "failure": {"request_id": _matches(_REQUEST_ID), "route": _matches(_ROUTE), "code": _matches(_CODE)},
    "swept": {"files": _number, "deletions": _number},
    "sweep_failed": {},
    "upgrade_failed": {"code": _matches(_CODE)},
    "upgrades_paused": {"version": _number, "tried": _number, "failed": _number},
    "compaction_failed": {"code": _matches(_CODE)},
    "llm_unsettled": {"code": _matches(_CODE)},
    "jobs_failed": {"code": _matches(_CODE)},
    "job_failed": {"code": _matches(_CODE)},
    "notices_away": {},
    "limits_away": {},
    "worker_started": {"worker": _number},
    "worker_died": {"worker": _number, "status": _number},
    "placement_failed": {"code": _matches(_CODE)},
    "catch_up_failed": {},
    "library": {"library": lambda value: value in _LIBRARIES},
    UNLISTED: {},
}
_ALWAYS: Final[Mapping[str, Check]] = {
    "level": lambda value: value in ("debug", "info", "warning", "error", "critical"),
    "at": _matches(re.compile(r"[0-9T:.Z-]{20,30}")),
    "exception": _matches(_TYPE),
}


def configure(level: str, stream: TextIO) -> None:
    """Send every log line of this process, the libraries' too, through the allow-list to `stream`."""
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _exception_to_type,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            allow_listed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Library()]
    root.setLevel(max(least, logging.WARNING))
    for name in list(logging.root.manager.loggerDict):
        other = logging.getLogger(name)
        other.handlers, other.propagate = [], True
    logging.captureWarnings(capture=True)


def take_hooks() -> None:
    """Have what nobody caught logged as its type, where Python would print it with its text."""
    sys.excepthook = lambda kind, _error, _trace: _uncaught(kind)
    threading.excepthook = lambda hook: _uncaught(hook.exc_type)
    sys.unraisablehook = lambda hook: _uncaught(hook.exc_type)
    warnings.simplefilter("ignore", ResourceWarning)


def _uncaught(kind: type[BaseException] | None) -> None:
    structlog.get_logger().error("failure", exception=getattr(kind, "__name__", "Exception"))


def log_failure(request_id: str, route: str, code: str, error: BaseException) -> None:
    """Note a failure of the server's own, by the types of the error and of what caused it."""
    log = structlog.get_logger()
    kind = type(error.__cause__ or error).__name__
    log.error("failure", request_id=request_id, route=route, code=code, exception=kind)


def allow_listed(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """The last processor: keep the fields that this event may have and whose values pass their checks."""
    name = event.get("event")
    known = name if isinstance(name, str) and name in EVENTS else UNLISTED
    checks = {**_ALWAYS, **EVENTS[known]}
    kept = {field: value for field, value in event.items() if field in checks and checks[field](value)}
    return {"event": known, **kept}


def _exception_to_type(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()[0]
    elif isinstance(found, tuple):
        found = found[0]
    if found is not None and found is not False:
        event["exception"] = found.__name__ if isinstance(found, type) else type(found).__name__
    return event


class _Library(logging.Handler):
    """Turns a library's record into the event `library`: which one, how bad, which type of exception."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"library": record.name.partition(".")[0]}
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = record.exc_info[0].__name__
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(structlog.get_logger(), level)("library", **fields)


class AccessLog:
    """One line per answered request: method, route template, status, time and sizes; no path, query or
    address.

    Lines are composed from checked parts and written together a moment later: a log call of its own would
    cost as much as a small request. `later(seconds, callback)` schedules that.
    """

    def __init__(
        self, stream: TextIO, later: Callable[[float, Callable[[], None]], object], clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._later = later
        self._clock = clock
        self._lines: list[str] = []
        self._second = -1
        self._at = ""

    def write(
        self, request_id: str, method: str, route: str, status: int, ms: float, sizes: tuple[int, int]
    ) -> None:
        """Note a request; `route` is a template that the server declared, `sizes` the bodies' bytes, in and
        out.
        """
        second = int(self._clock())
        if second != self._second:
            self._second, self._at = second, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        if not self._lines:
            self._later(0.2, self.flush)
        self._lines.append(
            f'{{"event":"request","level":"info","at":"{self._at}","request_id":"{request_id}",'
            f'"method":"{method if method in METHODS else "OTHER"}","route":"{route}","status":{status:d},'
            f'"ms":{ms:.2f},"bytes_in":{sizes[0]:d},"bytes_out":{sizes[1]:d}}}\n'
        )

    def flush(self) -> None:
        """Write what was noted."""
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write("".join(lines))
            self._stream.flush()

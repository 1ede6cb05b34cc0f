"""The log lets nothing through that nobody allowed: secrets are planted wherever a log call has room for
them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from echolia.web.logs import AccessLog, allow_listed

SECRET = "pLaNtEd-4711"
PROGRAM = f'''
import asyncio, logging, sys, threading, warnings
import structlog
from echolia.web import logs

secret = "{SECRET}"
logging.getLogger("uvicorn.access").addHandler(logging.StreamHandler(sys.stderr))
logging.getLogger("uvicorn.access").propagate = False
logs.configure("debug", sys.stderr)
logs.take_hooks()
log = structlog.get_logger()


def fail():
    raise ValueError(secret) from KeyError(secret)


log.info(f"got {{secret}}")
log.info("failure", code=secret, route="/" + secret, request_id=secret, exception=secret + "!", extra=secret)
log.info("server_started", version=secret, port=secret, level=secret)
log.info("failure", **{{secret: secret}})
log.warning("swept", stack_info=True, files=5)
try:
    fail()
except ValueError:
    log.error("failure", exc_info=True)
    log.exception(secret)
    log.exception("failure")
for name in ("uvicorn.error", "uvicorn.access", "asyncio", "aiohttp.server", "somebody." + secret, secret):
    other = logging.getLogger(name)
    other.warning(f"got {{secret}}")
    other.error("%s", secret, extra={{"more": secret}}, stack_info=True)
    try:
        fail()
    except ValueError:
        other.exception(secret)
warnings.warn(secret)
warnings.warn(ResourceWarning(secret))
thread = threading.Thread(target=fail, name=secret)
thread.start()
thread.join()


class Unraisable:
    def __del__(self):
        raise ValueError(secret)


Unraisable()


async def forgotten():
    task = asyncio.create_task(failing(), name=secret)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task


async def failing():
    fail()


asyncio.run(forgotten())
fail()
'''


def test_no_planted_secret_gets_into_the_log() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    told = done.stdout + done.stderr
    assert SECRET not in told
    assert SECRET.lower() not in told.lower()
    assert "Traceback" not in told
    # It is the log that kept silent, not the program that did nothing.
    assert told.count('"exception": "ValueError"') >= 8
    assert '"event": "unlisted"' in told
    assert '"library": "uvicorn"' in told
    assert '"files": 5' in told
    assert done.returncode == 1


def test_a_field_needs_to_be_allowed_for_its_event_and_to_pass() -> None:
    event = {"event": "swept", "files": 5, "deletions": "5", "port": 80, "level": "info"}
    assert allow_listed(None, "", event) == {"event": "swept", "files": 5, "level": "info"}
    assert allow_listed(None, "", {"event": "swept", "files": True}) == {"event": "swept"}
    assert allow_listed(None, "", {"event": 5}) == {"event": "unlisted"}
    route = {"event": "failure", "route": "/auth/device/{id}"}
    assert allow_listed(None, "", route) == route
    for raw in ("/auth/device/AAAAAAAAAAAAAAAAAAAAAA", "/a?b", "/1", "x"):
        assert allow_listed(None, "", {"event": "failure", "route": raw}) == {"event": "failure"}


def test_the_access_log_is_written_together_a_moment_later(tmp_path: Path) -> None:
    asked: list[float] = []
    with (tmp_path / "log").open("w") as stream:
        log = AccessLog(stream, lambda seconds, _: asked.append(seconds), lambda: 0.0)
        for _ in range(3):
            log.write("0" * 16, "GET", "/health", 200, 1.234, (0, 5))
        assert asked == [0.2]
        assert (tmp_path / "log").read_text() == ""
        log.flush()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        '{"event":"request","level":"info","at":"1970-01-01T00:00:00Z","request_id":"0000000000000000",'
        '"method":"GET","route":"/health","status":200,"ms":1.23,"bytes_in":0,"bytes_out":5}'
    )

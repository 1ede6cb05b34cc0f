"""The log rule catches what it was made for, lets honest calls pass, and holds in the whole package."""

from __future__ import annotations

import ast

import pytest

from tests.house.conftest import Source
from tests.house.log_rule import offences

LEAKS = {
    "exception as an argument": "try:\n    x()\nexcept ValueError as error:\n    log.warning('bad', error)",
    "exception in a field": "try:\n    x()\nexcept ValueError as e:\n    log.info('bad', why=str(e))",
    "exception in an f-string": "try:\n    x()\nexcept ValueError as e:\n    logger.info(f'bad {e}')",
    "exception's arguments": "try:\n    x()\nexcept ValueError as e:\n    log.info('bad', why=e.args)",
    "log.exception": "try:\n    x()\nexcept ValueError:\n    self.log.exception('bad')",
    "exc_info": "log.error('bad', exc_info=True)",
    "stack_info": "logging.error('bad', stack_info=True)",
    "body": "log.info('push', body=body)",
    "decoded body": "log.info('push', text=body.decode())",
    "request body": "log.info('push', start=(await request.body())[:20])",
    "request json": "structlog.get_logger().info('push', sent=request.json())",
    "attribute": "self._log.debug('push', change=run.sealed_body)",
    "sliced": "log.bind(a=1).info('push', start=payload[:10])",
    "composed event": "log.info('pushed ' + name)",
    "formatted event": "log.info('pushed {}'.format(name))",
    "percent event": "log.info('pushed %s' % name)",
    "in a dictionary": "logging.info('x', extra={'y': body})",
}
HONEST = {
    "literal event": "log.info('server_started', port=port)",
    "stable code": "try:\n    x()\nexcept EcholiaError as e:\n    log.info('refused', code=e.code)",
    "type of exception": "try:\n    x()\nexcept OSError as e:\n    log.info('failed', kind=type(e).__name__)",
    "length of body": "log.info('push', size_bytes=len(body))",
    "not a logger": "console.print(body); math.log(body)",
    "request field": "log.info('request_done', method=request.method)",
    "name out of scope": "try:\n    x()\nexcept ValueError as e:\n    pass\nlog.info('done', e=3)",
}


def parsed(code: str) -> ast.Module:
    return ast.parse("async def f(self):\n" + "\n".join("    " + line for line in code.splitlines()))


@pytest.mark.parametrize("code", LEAKS.values(), ids=LEAKS.keys())
def test_a_leaking_log_call_is_caught(code: str) -> None:
    assert offences(parsed(code))


@pytest.mark.parametrize("code", HONEST.values(), ids=HONEST.keys())
def test_an_honest_log_call_passes(code: str) -> None:
    assert offences(parsed(code)) == []


def test_the_package_hands_no_body_and_no_exception_text_to_a_logger(sources: list[Source]) -> None:
    found = [
        f"{source.path}: {offence.reason} (line {offence.line})"
        for source in sources
        if source.path.startswith("echolia/")
        for offence in offences(source.tree)
    ]
    assert not found, "\n".join(found)

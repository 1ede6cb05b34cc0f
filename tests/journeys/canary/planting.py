"""The ways to put a canary into a request: each part of it in turn, the rest understood."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from echolia.core.errors import EcholiaError
from echolia.core.ids import unb64
from echolia.core.push import PUSH_TYPE
from tests.journeys.canary.flock import SECRET, UNKEPT, Flock
from tests.journeys.canary.operations import JSON, KEPT, Request

METHODS: Final = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "GET", "TRACE")


class Planted(NamedTuple):
    """A request with a canary in it; an Authorization among its `headers` wins over the token."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | None


def plantings(request: Request, flock: Flock) -> Iterator[Planted]:
    """Every planted form of one operation's request."""
    yield from _paths(request, flock)
    yield from _queries(request, flock)
    yield from _headers(request, flock)
    yield from _methods(request, flock)
    yield from _bodies(request, flock)
    if request.body is not None:
        yield from _fields(request, flock)


def _target(
    request: Request, path: str | None = None, query: tuple[tuple[str, str], ...] | None = None
) -> str:
    asked = "&".join(
        f"{quote(name)}={quote(value)}" for name, value in (request.query if query is None else query)
    )
    return f"{request.path if path is None else path}{'?' if asked else ''}{asked}"


def _as_is(request: Request, target: str | None = None, **headers: str) -> Planted:
    typed = {"Content-Type": request.media_type} if request.body is not None else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Planted(request.operation[0], target or _target(request), {**typed, **named}, request.encoded())


def _paths(request: Request, flock: Flock) -> Iterator[Planted]:
    name, path = request.name, request.path
    segments = path.split("/")
    template = request.operation[1].split("/")
    for at, segment in enumerate(template):
        if segment == "{id}":
            for value in (quote(flock.text(f"{name} id"), safe=""), flock.coded(f"{name} id", UNKEPT, 16)):
                changed = "/".join([*segments[:at], value, *segments[at + 1 :]])
                yield _as_is(request, _target(request, changed))
    word = flock.text(f"{name} segment")
    for changed in (
        f"{path}/{quote(word, safe='')}", f"{path}/", f"/{quote(word)}{path}", f"/{path}",
        f"{path}/../{quote(word)}", f"{path};{quote(word)}", f"{path}%00{quote(word)}",
        f"{path}%0a{quote(word)}",         f"{path}.{flock.word(name)}",
    ):  # fmt: skip
        yield _as_is(request, _target(request, changed))


def _queries(request: Request, flock: Flock) -> Iterator[Planted]:
    for at, (name, _) in enumerate(request.query):
        others = [*request.query[:at], *request.query[at + 1 :]]
        for value in (
            flock.text(f"{request.name} ?{name}"),
            flock.coded(f"{request.name} ?{name}", UNKEPT, 16),
        ):
            yield _as_is(request, _target(request, query=(*others, (name, value))))
        yield _as_is(request, _target(request, query=(*others, (flock.text(f"{request.name} ?"), "1"))))


def _tokens(name: str, flock: Flock) -> Iterator[str]:
    """Credentials that nobody gave out, with a canary in each part of a token."""
    word, key = flock.text(f"{name} token", SECRET), Ed25519PrivateKey.generate()
    claims = {"iss": word, "aud": "echolia", "sub": word, "dev": word, "iat": 1, "exp": 2**40, word: word}
    yield flock.word(f"{name} authorization", SECRET)
    yield f"Bearer {flock.word(f'{name} bearer', SECRET)}"
    yield f"Bearer {flock.word(f'{name} bearer', SECRET) * 200}"
    yield f"Basic {flock.coded(f'{name} basic', SECRET, 32)}"
    yield f"Mailbox {flock.coded(f'{name} mailbox', SECRET, 32)}"
    yield f"Mailbox {flock.word(f'{name} mailbox', SECRET)}"
    yield "Bearer " + jwt.encode(claims, key, "EdDSA", headers={"kid": word, "typ": word})
    yield "Bearer " + jwt.encode(claims, word + "#" * 32, "HS256", headers={"kid": word, "jku": word})
    yield "Bearer " + jwt.encode(claims, "", "none", headers={"kid": word})


def _headers(request: Request, flock: Flock) -> Iterator[Planted]:
    name = request.name
    for authorization in _tokens(name, flock):
        yield _as_is(request, Authorization=authorization)
    word = flock.word(f"{name} header")
    yield _as_is(request, Accept=f"application/{word}, {word}/*;q={word}")
    yield _as_is(request, Host=f"{word}.example")
    yield _as_is(request, Content_Encoding=word)
    yield _as_is(request, Expect=word)
    yield _as_is(request, **{word: word, "Range": f"bytes={word}", "Accept-Encoding": word})
    for header in ("X-Forwarded-For", "X-Request-Id", "Cookie", "User-Agent"):
        yield _as_is(request, **{header: flock.text(f"{name} {header}").encode().decode("latin-1")})


def _methods(request: Request, flock: Flock) -> Iterator[Planted]:
    for method in METHODS:
        if method != request.operation[0]:
            body = (
                None
                if method in ("GET", "HEAD", "TRACE")
                else flock.text(f"{method} {request.path}").encode()
            )
            yield _as_is(request)._replace(method=method, body=body)


def _bodies(request: Request, flock: Flock) -> Iterator[Planted]:
    """Bodies that are not the JSON that is expected, under types that are and that are not."""
    name, word = request.name, flock.text(f"{request.name} body")
    whole = request.encoded() or b"{}"
    quoted = json.dumps({word: word}, ensure_ascii=False)
    bodies = (
        (JSON, quoted.encode()), (JSON, json.dumps(word).encode()), (JSON, json.dumps([word]).encode()),
        (JSON, word.encode()), (JSON, whole[:-1] + f', "{word}'.encode()), (JSON, whole + word.encode()),
        (JSON, quoted.encode("utf-16")), (JSON, b"\xef\xbb\xbf" + quoted.encode()),
        (JSON, b"\xff\xfe" + word.encode()),
        (JSON, json.dumps({flock.word(name): 10**400}).encode()), (JSON, b'{"a":' * 5000 + word.encode()),
        (JSON, f"[{word}]".encode()), (f"{JSON}; charset={flock.word(name)}", quoted.encode()),
        (flock.word(name), whole), ("text/plain", word.encode()),
        ("application/problem+json", quoted.encode()),
        ("application/x-www-form-urlencoded", quote(word).encode() + b"=" + quote(word).encode()),
        (f"multipart/form-data; boundary={flock.word(name)}", word.encode()),
        (PUSH_TYPE, word.encode()), (PUSH_TYPE, flock.raw(name, UNKEPT, 600)),
        (JSON, gzip.compress(quoted.encode() * 50)), (JSON, zlib.compress(quoted.encode() * 50)),
        (request.media_type, word.encode()), (request.media_type, flock.raw(name, UNKEPT, 600)),
        (request.media_type, whole[:-9] + word.encode()),
    )  # fmt: skip
    for media_type, body in bodies[:3] if request.operation[0] == "GET" else bodies:
        yield Planted(request.operation[0], _target(request), {"Content-Type": media_type}, body)


def _fields(request: Request, flock: Flock) -> Iterator[Planted]:
    """The body with one place changed: each value, each name, one name more in each object."""
    for where in _places(request.body):
        name = ".".join(map(str, where))
        label = f"{request.name} {name}"
        old = _at(request.body, where)
        values: list[Any] = [flock.text(label), [flock.text(label)], {flock.text(label): flock.text(label)}]
        if (length := _bytes_in(old)) >= 16:
            values.append(flock.coded(label, KEPT.get((request.name, name), UNKEPT), length))
        for value in values:
            yield _as_is(request.with_body(_changed(request.body, where, value)))
        if where and isinstance(where[-1], str):
            for key in (flock.text(label), flock.coded(label, UNKEPT, 16)):
                holder = {
                    key: old,
                    **{k: v for k, v in _at(request.body, where[:-1]).items() if k != where[-1]},
                }
                yield _as_is(request.with_body(_changed(request.body, where[:-1], holder)))
        if isinstance(old, dict):
            more = {**old, flock.text(label): flock.text(label)}
            yield _as_is(request.with_body(_changed(request.body, where, more)))


def _bytes_in(value: Any) -> int:
    try:
        return len(unb64(value)) if isinstance(value, str) else 0
    except EcholiaError:
        return 0


Where = tuple[str | int, ...]


def _places(body: Any, where: Where = ()) -> Iterator[Where]:
    """Every place of a JSON value, the whole of it first."""
    yield where
    parts = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in parts:
        yield from _places(value, (*where, key))


def _at(body: Any, where: Where) -> Any:
    for key in where:
        body = body[key]
    return body


def _changed(body: Any, where: Where, value: Any) -> Any:
    if not where:
        return value
    body = copy.deepcopy(body)
    _at(body, where[:-1])[where[-1]] = value
    return body

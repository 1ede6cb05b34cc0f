"""Vectors of sealed bodies: what sealing gives, and every way in which a body must not open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from tests.vectors import reference as ref
from tests.vectors.reference import Change
from tests.vectors.world import (
    ACCOUNT,
    ENTRIES,
    LAPTOP,
    NOTE,
    OTHER_ACCOUNT,
    OTHER_NOTE,
    PHONE,
    TABLET,
    TAGS,
    Vector,
    change,
    flipped,
    seed,
)

KEYS = {1: seed("account key 1"), 2: seed("account key 2")}
INDEX = seed("index key")
PLAINTEXT = b"any bytes: what a body holds is merge.md's"
CONTEXT = sorted([(PHONE.id, 7), (TABLET.id, 3)])


class Sealed(NamedTuple):
    """A body about to be sealed: where it belongs, the keys and nonces, what is inside."""

    plaintext: bytes = PLAINTEXT
    counter: int = 1
    head: Change = change("sealed", context=CONTEXT)
    object_key: bytes = seed("object key")
    wrap_nonce: bytes = seed("wrap nonce")[:24]
    nonce: bytes = seed("body nonce")[:24]
    padded: bytes | None = None
    body_length: int | None = None
    account_keys: dict[int, bytes] = KEYS
    suite: int = 1

    @property
    def length(self) -> int:
        """The body's length."""
        return self.body_length or ref.padme(145 + len(self.plaintext))

    @property
    def whole(self) -> Change:
        """The change with its header complete and the body sealed."""
        head = replace(self.head, body=bytes(self.length))
        generation = head.generation
        wrapped = ref.wrap(
            self.account_keys[generation], self.wrap_nonce, self.object_key, ACCOUNT, head.object, generation
        )
        padded = ref.pad(self.plaintext, self.length) if self.padded is None else self.padded
        place = (ACCOUNT, LAPTOP.id, self.counter)
        return replace(
            head, body=ref.seal(wrapped, self.object_key, self.nonce, padded, place, head, self.suite)
        )


def secrets(generations: tuple[int, ...] = (1, 2), **wrong: Any) -> dict[str, Any]:
    """Account secrets as vectors give them."""
    keys = {n: KEYS[n] for n in generations}
    return {"account": ACCOUNT, "generation": max(generations), "keys": keys, "index": INDEX} | wrong


def cases() -> Iterator[Vector]:
    """Sealing with given nonces, opening, and the refusals."""
    for case, (note, sealed) in _sealings().items():
        yield Vector(
            "seal",
            case,
            note,
            _seal_input(sealed),
            {"header": sealed.whole.header, "body": sealed.whole.body},
        )
    fields = _open_input(Sealed().whole)
    yield Vector("open", "opens", "A body opens where it belongs.", fields, {"plaintext": PLAINTEXT})
    later = _open_input(Sealed(counter=2**53 - 1, head=change("x", generation=2)).whole, counter=2**53 - 1)
    yield Vector(
        "open", "second-generation", "Any generation at hand opens.", later, {"plaintext": PLAINTEXT}
    )
    for group in (_moved(), _altered(), _padding(), _keys()):
        for case, (note, given) in group.items():
            error = "key_missing" if case.startswith("unknown-generation") else "body_unreadable"
            yield Vector("open", f"refused-{case}", note, given, {"error": error})
    yield from _pseudonyms()


def _seal_input(sealed: Sealed) -> dict[str, Any]:
    head = sealed.head
    return {
        "secrets": secrets(tuple(range(1, head.generation + 1))),
        "device": LAPTOP.id,
        "counter": sealed.counter,
        "class": head.kind,
        "object": head.object,
        "stream": head.stream,
        "context": head.context,
        "plaintext": sealed.plaintext,
        "object_key": sealed.object_key,
        "wrap_nonce": sealed.wrap_nonce,
        "nonce": sealed.nonce,
    }


def _open_input(whole: Change, **wrong: Any) -> dict[str, Any]:
    given = {
        "secrets": secrets(),
        "device": LAPTOP.id,
        "counter": 1,
        "header": whole.header,
        "body": whole.body,
    }
    return given | wrong


def _sealings() -> dict[str, tuple[str, Sealed]]:
    return {
        "state": ("A state with a context.", Sealed()),
        "delta": ("A delta.", Sealed(head=change("d", kind=2, stream=TAGS))),
        "empty": ("Nothing inside is still 256 bytes.", Sealed(plaintext=b"")),
        "exact-fit": ("111 bytes fill the least body.", Sealed(plaintext=b"x" * 111)),
        "one-more": ("112 bytes take the next length.", Sealed(plaintext=b"x" * 112)),
        "ends-like-padding": ("A plaintext may end as padding does.", Sealed(plaintext=b"x\x80\0\0\0")),
        "zeros": ("A plaintext may be zeros.", Sealed(plaintext=bytes(20))),
        "second-generation": ("The current generation wraps.", Sealed(head=change("g", generation=2))),
        "longer": ("A body of 1,024 bytes.", Sealed(plaintext=b"long " * 170)),
    }


def _moved() -> dict[str, tuple[str, dict[str, Any]]]:
    whole = Sealed().whole

    def under(**other: Any) -> dict[str, Any]:
        return _open_input(replace(whole, **other))

    elsewhere = secrets(account=OTHER_ACCOUNT)
    return {
        "moved-suite": ("Sealed for another suite.", _open_input(Sealed(suite=2).whole)),
        "moved-object": ("Moved to another object.", under(object=OTHER_NOTE)),
        "moved-stream": ("Moved to another stream.", under(stream=TAGS)),
        "moved-class": ("A state passed off as a delta.", under(kind=2)),
        "moved-generation": ("Moved to another generation, whose key is known.", under(generation=2)),
        "moved-context": ("The writer had seen something else.", under(context=CONTEXT[:1])),
        "moved-context-counter": (
            "The writer had seen less.",
            under(context=[(d, n - 1) for d, n in CONTEXT]),
        ),
        "moved-length": ("The header tells another length.", under(body_length=272)),
        "moved-device": ("Moved to another device.", _open_input(whole, device=PHONE.id)),
        "moved-counter": ("Moved to another counter.", _open_input(whole, counter=2)),
        "moved-account": ("Moved to an account with the same keys.", _open_input(whole, secrets=elsewhere)),
    }


def _altered() -> dict[str, tuple[str, dict[str, Any]]]:
    whole = Sealed().whole
    other = Sealed(
        object_key=seed("other object key"), wrap_nonce=seed("w2")[:24], nonce=seed("n2")[:24]
    ).whole
    again = Sealed(nonce=seed("n3")[:24]).whole

    def with_body(body: bytes) -> dict[str, Any]:
        return _open_input(replace(whole, body=body, body_length=256))

    body = whole.body
    return {
        "short-but-sealed": ("A body of 240 bytes, sealed well.", _open_input(Sealed(body_length=240).whole)),
        "empty": ("There is no body.", with_body(b"")),
        "short": ("One byte short of 256.", with_body(body[:-1])),
        "only-wrapped": ("Nothing but the wrapped key.", with_body(body[:72])),
        "longer": ("16 bytes too many.", with_body(body + bytes(16))),
        "wrap-nonce-flipped": ("The wrapped key's nonce.", with_body(flipped(body, 0))),
        "wrapped-flipped": ("The wrapped key.", with_body(flipped(body, 40))),
        "wrapped-tag-flipped": ("The wrapped key's tag.", with_body(flipped(body, 71))),
        "nonce-flipped": ("The nonce.", with_body(flipped(body, 72))),
        "commitment-flipped": ("The commitment.", with_body(flipped(body, 96))),
        "commitment-last-bit": ("The commitment's last byte.", with_body(flipped(body, 127))),
        "ciphertext-flipped": ("The ciphertext.", with_body(flipped(body, 128))),
        "tag-flipped": ("The tag.", with_body(flipped(body, -1))),
        "commitment-swapped": (
            "The commitment of another body of the object.",
            with_body(body[:96] + again.body[96:128] + body[128:]),
        ),
        "ciphertext-swapped": ("The ciphertext of another body.", with_body(body[:128] + again.body[128:])),
        "wrapped-swapped": ("Another key of the same object.", with_body(other.body[:72] + body[72:])),
        "body-swapped": (
            "Another key's body under this wrapped key.",
            with_body(body[:72] + other.body[72:]),
        ),
        "zeros": ("Zeros.", with_body(bytes(256))),
    }


def _padding() -> dict[str, tuple[str, dict[str, Any]]]:
    room = 256 - 144
    paddings = {
        "padding-missing": ("The plaintext fills everything.", b"x" * room),
        "padding-all-zero": ("Zeros without 0x80 before them.", bytes(room)),
        "padding-wrong-mark": (
            "0x01 in place of 0x80.",
            PLAINTEXT + b"\x01" + bytes(room - 1 - len(PLAINTEXT)),
        ),
        "padding-not-zero": (
            "A byte after 0x80.",
            PLAINTEXT + b"\x80" + bytes(room - 2 - len(PLAINTEXT)) + b"\1",
        ),
    }
    return {
        case: (note, _open_input(Sealed(padded=padded).whole)) for case, (note, padded) in paddings.items()
    }


def _keys() -> dict[str, tuple[str, dict[str, Any]]]:
    whole = Sealed().whole
    second = Sealed(head=change("g", generation=2)).whole
    wrong = secrets(keys={1: seed("a wrong key"), 2: KEYS[2]})
    swapped = secrets(keys={1: KEYS[2], 2: KEYS[1]})
    return {
        "wrong-account-key": ("Another account key.", _open_input(whole, secrets=wrong)),
        "keys-swapped": ("The generations' keys changed places.", _open_input(whole, secrets=swapped)),
        "unknown-generation": ("The key has not arrived yet.", _open_input(second, secrets=secrets((1,)))),
    }


def _pseudonyms() -> Iterator[Vector]:
    for name in ("entries", "memories", "tags"):
        stream = ref.b(16, INDEX, name.encode(), b"echolia1/stream")
        given = {"index": INDEX, "collection": name}
        yield Vector(
            "pseudonym", f"stream-{name}", "A collection's name for the server.", given, {"stream": stream}
        )
    assert ref.b(16, INDEX, b"entries", b"echolia1/stream") == ENTRIES
    item = {"index": INDEX, "source": "dayone", "key": "0F3A"}
    found = ref.b(16, INDEX, b"import\0dayone\x000F3A", b"echolia1/object")
    yield Vector("pseudonym", "imported", "An imported item's object id.", item, {"object": found})
    assert NOTE != OTHER_NOTE

"""Vectors of embeddings: which compare, how long texts are laid into windows, where they are made."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any

from tests.vectors import reference as ref
from tests.vectors.reference import h
from tests.vectors.world import Vector, seed

MINILM: dict[str, Any] = {
    "weights": bytes.fromhex("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    "tokenizer": bytes.fromhex("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    "max_tokens": 256,
    "overlap": 32,
    "pooling": "mean",
    "normalized": True,
    "dtype": "float32",
    "dimensions": 384,
}
CHANGED: dict[str, Any] = {
    "weights": seed("other weights"),
    "tokenizer": seed("other tokenizer"),
    "max_tokens": 128,
    "overlap": 0,
    "pooling": "cls",
    "normalized": False,
    "dtype": "int8",
    "dimensions": 768,
}
GIB = 2**30
WANTED = seed("the model that is wanted")


def cases() -> Iterator[Vector]:
    """Identities, windows, places."""
    yield from _identities()
    yield from _windows()
    yield from _places()


def _identities() -> Iterator[Vector]:
    yield _identity("all-minilm-l6-v2", "The model that this specification names.", MINILM)
    for name, fact in CHANGED.items():
        note = f"Other {name} make another identity: its vectors do not compare."
        yield _identity(f"other-{name.replace('_', '-')}", note, {**MINILM, name: fact})


def _identity(case: str, note: str, facts: dict[str, Any]) -> Vector:
    said = {name: _b64(fact) if isinstance(fact, bytes) else fact for name, fact in facts.items()}
    identity = h(b"echolia/1/embedding-model" + ref.cbor(facts))
    return Vector("embedding-identity", case, note, {"facts": said}, {"identity": identity})


def _windows() -> Iterator[Vector]:
    lengths = {
        "none": (0, "A text without tokens has one window all the same."),
        "one-full": (254, "As much as one window holds."),
        "one-more": (255, "One token more makes a second window, which has what is left."),
        "two-full": (476, "The second window is full."),
        "three": (477, "And a third."),
        "long": (2000, "A long text."),
    }
    for case, (count, note) in lengths.items():
        given: dict[str, Any] = {"count": count, "room": 254, "overlap": 32}
        yield Vector("embedding-windows", case, note, given, {"windows": _laid(count, 254, 32)})
    parts = [[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]]
    given = {"count": 9, "room": 4, "overlap": 1, "vectors": [_packed(part) for part in parts]}
    laid = _laid(9, 4, 1)
    expect = {"windows": laid, "pooled": _packed(_pooled(parts, [weight for _, _, weight in laid]))}
    note = "Windows weigh as many tokens as they have of their own; the sum has the length 1."
    yield Vector("embedding-windows", "pooled", note, given, expect)


def _laid(count: int, room: int, overlap: int) -> list[list[int]]:
    laid, covered, start = [], 0, 0
    while True:
        stop = min(count, start + room)
        laid.append([start, stop, stop - covered])
        if stop == count:
            return laid
        covered, start = stop, start + room - overlap


def _pooled(vectors: Sequence[Sequence[float]], weights: Sequence[int]) -> list[float]:
    kept = [struct.unpack(f"<{len(each)}f", _packed(each)) for each in vectors]
    sums = [sum(each[n] * weight for each, weight in zip(kept, weights, strict=True)) for n in range(2)]
    length = sqrt(sum(part * part for part in sums))
    return [part / length for part in sums]


def _packed(vector: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


def _places() -> Iterator[Vector]:
    strong: dict[str, Any] = {"installed": [WANTED]}
    bare: dict[str, Any] = {"installed": []}
    other = seed("another model")
    rows: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
        ("device", "The device is asked first.", strong, {}, "device"),
        ("not-installed", "It has no model.", bare, {}, "server"),
        ("other-installed", "It has another model.", {"installed": [other]}, {}, "server"),
        ("little-memory", "Too little memory.", {**strong, "memory_bytes": GIB // 2 - 1}, {}, "server"),
        ("just-enough-memory", "Just enough.", {**strong, "memory_bytes": GIB // 2}, {}, "device"),
        ("low-battery", "The battery has to last.", {**strong, "power": "low"}, {}, "server"),
        ("low-battery-urgent", "A person waits.", {**strong, "power": "low"}, {"urgent": True}, "device"),
        ("on-battery", "A battery that is not low.", {**strong, "power": "battery"}, {}, "device"),
        ("one-core", "Much text on one core.", {**strong, "cores": 1}, {"tokens": 4097}, "server"),
        ("one-core-little", "Little text on one core.", {**strong, "cores": 1}, {"tokens": 4096}, "device"),
        (
            "one-core-accelerated", "An accelerator makes up for cores.",
            {**strong, "cores": 1, "accelerator": "npu"}, {"tokens": 4097}, "device",
        ),
        (
            "one-core-alone", "Slow is better than never.",
            {**strong, "cores": 1}, {"tokens": 4097, "offered": []}, "device",
        ),
        ("low-battery-alone", "It waits for power.", {**strong, "power": "low"}, {"offered": []}, "wait"),
        ("private", "The person lets no text go.", {**bare, "may_send": False}, {}, "wait"),
        (
            "private-slow", "Nor from a slow device.",
            {**strong, "cores": 1, "may_send": False}, {"tokens": 4097}, "device",
        ),
        ("not-offered", "The server has another model.", bare, {"offered": [other]}, "wait"),
        ("unreachable", "The server does not answer.", bare, {"offered": []}, "wait"),
    ]  # fmt: skip
    for case, note, able, need, found in rows:
        capability = {
            "memory_bytes": 4 * GIB, "cores": 2, "accelerator": "", "power": "mains", "may_send": True,
            **able,
        }  # fmt: skip
        capability["installed"] = [_b64(each) for each in capability["installed"]]
        given = {
            "capability": capability, "identity": WANTED, "tokens": 100, "urgent": False, "offered": [WANTED],
            **need,
        }  # fmt: skip
        yield Vector("embedding-place", case, note, given, {"place": found})


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

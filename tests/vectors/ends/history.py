"""Checkpoints and what is live, by the rules that both ends share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from echolia.core import push, runs
from echolia.core.checkpoints import LiveChange, decode, live_root
from echolia.core.liveness import Liveness
from echolia.core.parts import find_parts, leaf_of
from echolia.core.positions import log_base
from echolia.core.push import PARTIAL, Item
from tests.vectors.ends.rules import position
from tests.vectors.ends.vector_file import Found, VectorFile, logged_devices, taken


def checkpoint(vector: VectorFile) -> Found:
    """What a checkpoint says; written again it is the same."""
    point = decode(vector.raw("checkpoint"))
    assert point.encode() == vector.raw("checkpoint")
    heads = [{"device": device, **head._asdict()} for device, head in sorted(point.heads.items())]
    return {
        **point.position._asdict(),
        "received_ms": point.received_ms,
        "devices": {"n": point.devices_n, "head": point.devices_head},
        "heads": heads,
        "count": point.count,
        "live": point.live,
    }


def base(vector: VectorFile) -> Found:
    """Where the log of another epoch goes on."""
    found = log_base(vector.raw("account"), vector.given["epoch"], position(vector.given["base"]))
    return found._asdict()


def live(vector: VectorFile) -> Found:
    """What is live of a page's runs, and the root that commits to it."""
    found = _live(vector, reversed(push.read_page(vector.raw("page")).items))
    count, root = live_root(vector.raw("account"), vector.given["seq"], found)
    return {"live": [_dot(each) for each in found], "count": count, "root": root}


def started(vector: VectorFile) -> Found:
    """What pages from a base add up to; a lie in them is the device's to notice."""
    pages = [push.read_page(bytes.fromhex(page)) for page in vector.given["pages"]]
    if "device_error" in vector.expect:
        return taken(vector)
    point, found = decode(vector.raw("checkpoint")), _live(vector, (i for page in pages for i in page.items))
    count, root = live_root(vector.raw("account"), point.position.seq, found)
    assert (count, root) == (point.count, point.live)
    heads = [{"device": device, **head._asdict()} for device, head in sorted(point.heads.items())]
    place = {**point.position._asdict(), "received_ms": point.received_ms, "heads": heads}
    return {**place, "live": [_dot(each) for each in found]}


def _live(vector: VectorFile, newest_first: Iterable[Item]) -> list[LiveChange]:
    devices = logged_devices(vector)
    cutoffs = {device: each.revoked.last for device, each in devices.items() if each.revoked}
    liveness, found = Liveness(cutoffs, devices), list[LiveChange]()
    for item in newest_first:
        header = runs.read_header(item.content)
        parts = find_parts(item.content, header, item.form == PARTIAL)
        for n, is_live in enumerate(liveness.walk(item.content, header, parts)):
            if is_live:
                leaf = leaf_of(item.content, parts[n])
                found.append(LiveChange(header.device, header.first + n, leaf))
    return sorted(found)


def _dot(change: LiveChange) -> Mapping[str, object]:
    return {"device": change.device, "counter": change.counter}

"""The device's end: vectors go through the verifier that stands before everything a server says."""

from __future__ import annotations

from echolia.client.pages import read_served
from echolia.client.verifier import Known, VerifiedPage, verify_item, verify_page
from echolia.core import runs
from echolia.core.positions import NOTHING_SEEN, LogPosition, log_after, log_start
from echolia.core.push import WHOLE, Item, Page
from tests.vectors.ends.vector_file import Found, VectorFile, logged_devices, taken

_AN_EPOCH = 77


def _nothing_known(vector: VectorFile) -> Known:
    return Known(vector.raw("account"), NOTHING_SEEN, 0, {}, logged_devices(vector), lambda seq: None)


def run(vector: VectorFile) -> Found:
    """A run served whole after those before it."""
    known, at = _nothing_known(vector), log_start(vector.raw("account"), _AN_EPOCH)
    known = verify_page(known, Page(False, at, [])).known
    for before in map(bytes.fromhex, vector.given["before"]):
        item = Item(at.seq + 1, known.received_ms + 1, WHOLE, before)
        at = _after(at, before, item.received_ms)
        known = verify_page(known, Page(False, at, [item])).known
    frame = vector.raw("frame")
    verified = verify_item(known, Item(at.seq + 1, known.received_ms + 1, WHOLE, frame))
    header = runs.read_header(frame)
    changes = list(runs.read_changes(frame, header, runs.change_ends(frame, header)))
    assert list(verified.changes) == changes
    assert verified.after == _after(at, frame, verified.received_ms)
    return taken(vector)


def _after(at: LogPosition, frame: bytes, received_ms: int) -> LogPosition:
    header = runs.read_header(frame)
    chain = runs.chains(frame, header, runs.change_ends(frame, header))[-1]
    return log_after(at, header.count, header.device, header.last, chain, received_ms)


def page(vector: VectorFile) -> Found:
    """What a page adds after the pages before it."""
    known = _nothing_known(vector)
    for before in map(bytes.fromhex, vector.given["before"]):
        known = verify_page(known, read_served(before)).known
    return _found(verify_page(known, read_served(vector.raw("page"))))


def _found(page: VerifiedPage) -> Found:
    heads = sorted(page.known.heads.items())
    return {
        **page.known.position._asdict(),
        "received_ms": page.known.received_ms,
        "heads": [{"device": device, "counter": head.counter, "chain": head.chain} for device, head in heads],
        "runs": [
            {
                "seq": each.after.seq - each.header.count + 1,
                "device": each.header.device,
                "first": each.header.first,
                "count": each.header.count,
                "changes": [change.counter for change in each.changes],
            }
            for each in page.runs
        ],
    }


def served(vector: VectorFile) -> Found:
    """The page that a push vector expects the server to serve holds on the device."""
    if "page" in vector.expect:
        at = verify_page(_nothing_known(vector), read_served(bytes.fromhex(vector.expect["page"])))
        expected = LogPosition(
            vector.expect["epoch"], vector.expect["seq"], bytes.fromhex(vector.expect["log"])
        )
        assert at.known.position == expected
    return vector.expect

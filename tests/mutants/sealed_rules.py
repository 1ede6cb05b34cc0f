"""Rules of sealed requests: what is opened, once, by whom; which keys are believed, and when they go."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_CHUNKS: Final = "echolia/sealed/chunks.py"
_DOCUMENTS: Final = "echolia/sealed/documents.py"
_FRAMES: Final = "echolia/sealed/frames.py"
_RING: Final = "echolia/sealed/key_ring.py"
_REQUESTS: Final = "echolia/sealed/requests.py"
_RESPONSES: Final = "echolia/sealed/responses.py"
_DOOR: Final = "echolia/web/sealed_door.py"
_REPLAYS: Final = "echolia/web/replays.py"
_VECTORS: Final = ("tests/vectors/test_vectors.py::test_the_rules_hold",)
_EXCHANGES: Final = "tests/sealed/test_exchanges.py"
_KEYS: Final = "tests/sealed/test_key_ring.py"
_REFUSALS: Final = "tests/llm/test_sealed_door.py"

SEALED: Final = (
    Mutant(
        "a final chunk is sealed as any other",
        _CHUNKS,
        'FINAL_AAD: Final = b"final"',
        'FINAL_AAD: Final = b""',
        _VECTORS,
    ),
    Mutant(
        "a chunk may be as long as it says",
        _CHUNKS,
        "            if not TAG_BYTES <= size <= self._max_bytes:\n",
        "            if not TAG_BYTES <= size:\n",
        _VECTORS,
    ),
    Mutant(
        "a chunk may be shorter than a tag",
        _CHUNKS,
        "        if not self._final or len(self._left) < TAG_BYTES:\n",
        "        if not self._final:\n",
        _VECTORS,
    ),
    Mutant(
        "a request has any number of chunks",
        _REQUESTS,
        "    if len(sealed) > MOST_CHUNKS:\n",
        "    if len(sealed) > 10 * MOST_CHUNKS:\n",
        _VECTORS,
    ),
    Mutant(
        "a request is of any suite",
        _REQUESTS,
        "    if header != suite.header(header[0]):\n",
        "    if not header:\n",
        _VECTORS,
    ),
    Mutant(
        "padding may be anything",
        _FRAMES,
        " or end > len(plain) or plain.count(0, end) != len(plain) - end:\n",
        " or end > len(plain):\n",
        _VECTORS,
    ),
    Mutant(
        "padding may be of any length",
        _FRAMES,
        "    if len(plain) != request_length(_LENGTH_BYTES",
        "    if len(plain) < request_length(_LENGTH_BYTES",
        _VECTORS,
    ),
    Mutant(
        "a member may be there twice",
        _FRAMES,
        "    if len(value) != len(pairs):\n",
        "    if len(value) > len(pairs):\n",
        _VECTORS,
    ),
    Mutant(
        "half a surrogate pair is a text",
        _FRAMES,
        '        if b"\\\\u" in body:\n',
        "        if not body:\n",
        _VECTORS,
    ),
    Mutant(
        "JSON goes a level deeper",
        _FRAMES,
        "MAX_DEPTH: Final = 32",
        "MAX_DEPTH: Final = 33",
        _VECTORS,
    ),
    Mutant(
        "an identity names its own successor",
        _DOCUMENTS,
        "    return said == pinned or (said.identity == pinned.next and said.identity != pinned.identity)\n",
        "    return said.identity in pinned\n",
        _VECTORS,
    ),
    Mutant(
        "a key document is never old",
        _DOCUMENTS,
        "    if all(now_ms - key.until_ms >= STALE_MS",
        "    if all(now_ms - key.until_ms >= 30 * STALE_MS",
        _VECTORS,
    ),
    Mutant(
        "a key document needs no signature",
        _DOCUMENTS,
        "    if not verify(said.pins.identity, LABEL + document, signature):\n",
        "    if not signature:\n",
        _VECTORS,
    ),
    Mutant(
        "what comes behind a chunk that did not open is opened",
        _RESPONSES,
        "            self._refused = True\n",
        "            self._refused = False\n",
        (f"{_EXCHANGES}::test_nothing_is_looked_at_behind_a_chunk_that_did_not_open",),
    ),
    Mutant(
        "every chunk of a response has the same nonce",
        _RESPONSES,
        "        self._count += 1\n",
        "        self._count += 0\n",
        _VECTORS,
    ),
    Mutant(
        "a key can be had from what stays in memory",
        _RING,
        '            self._next = Link(_derived(link.secret, b"link"), link.number + 1)\n',
        "            self._next = Link(link.secret, link.number + 1)\n",
        (f"{_KEYS}::test_what_was_forgotten_cannot_be_had_from_what_is_in_memory",),
    ),
    Mutant(
        "a key is kept for good",
        _RING,
        "        self._keys = [key for key in self._keys if now_ms < key.shown.until_ms + LATE_MS]\n",
        "        self._keys = [key for key in self._keys if now_ms < key.shown.until_ms + 10**12]\n",
        (f"{_KEYS}::test_what_was_forgotten_cannot_be_had_from_what_is_in_memory",),
    ),
    Mutant(
        "a key is forgotten as soon as it is not shown",
        _RING,
        "        self._keys = [key for key in self._keys if now_ms < key.shown.until_ms + LATE_MS]\n",
        "        self._keys = [key for key in self._keys if now_ms < key.shown.until_ms]\n",
        (f"{_KEYS}::test_a_key_is_opened_for_an_hour_longer_than_it_is_shown",),
    ),
    Mutant(
        "there is no key where the clock was set back",
        _RING,
        "        while not self._keys or self",
        "        while self",
        (f"{_KEYS}::test_there_is_a_key_where_the_clock_was_set_back_before_the_first_was_asked_for",),
    ),
    Mutant(
        "a request is for any path",
        _DOOR,
        'if said["path"] != path or said["account"]',
        'if said["account"]',
        (f"{_REFUSALS}::test_a_request_is_for_one_path",),
    ),
    Mutant(
        "a request is of any account",
        _DOOR,
        ' or said["account"] != b64(account_hash(request.caller.account)):\n',
        ":\n",
        (f"{_REFUSALS}::test_a_request_is_of_one_account",),
    ),
    Mutant(
        "a request is of any time",
        _DOOR,
        "        if abs(self._clock_ms() - iat_ms) > FRESH_MS:\n",
        "        if self._clock_ms() - iat_ms > FRESH_MS:\n",
        (f"{_REFUSALS}::test_a_request_is_of_its_time",),
    ),
    Mutant(
        "a request is remembered for half of the time in which it could be taken",
        _DOOR,
        "iat_ms + 2 * FRESH_MS",
        "iat_ms - FRESH_MS",
        (f"{_REFUSALS}::test_a_request_is_taken_once",),
    ),
    Mutant(
        "a request is remembered before it is looked at",
        _DOOR,
        "        iat_ms = _checked(said)\n",
        "        iat_ms = _checked(said)\n        await self._replays.first(opened.enc, iat_ms + 1)\n",
        (f"{_REFUSALS}::test_what_was_refused_may_be_sent_as_it_should_have_been",),
    ),
    Mutant(
        "a server that has no room takes a request all the same",
        _REPLAYS,
        "        if self.count >= self._most:\n",
        "        if self.count > self._most + 1:\n",
        (f"{_REFUSALS}::test_what_cannot_be_remembered_is_not_taken",),
    ),
    Mutant(
        "the public half of the next identity may be cut",
        _DOOR,
        "    if len(public) != PUBLIC_KEY_BYTES:\n",
        "    if len(public) > PUBLIC_KEY_BYTES:\n",
        ("tests/web/test_sealed_identity.py",),
    ),
)

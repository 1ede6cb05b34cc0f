"""Text that several devices edit at once: Loro documents behind a codec (docs/decisions/0005-text-crdt.md).

A field holds one or more Loro blobs, whose order means nothing: at most one snapshot of all that could be
applied, then the updates that still wait for something they build on. Two rules no code here can keep for
its caller: a peer id is never used again by a device that lost operations (a restored backup is a new
device), and a document is never seeded anew from its plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import ClassVar, Final, TypeVar

from loro import CounterSpan, ExportMode, IdSpan, LoroDoc, VersionVector

from echolia.core.errors import EcholiaError
from echolia.core.merge import plaintext
from echolia.core.merge.plaintext import invalid

LORO: Final = 1  # the codec byte
MAX_PEER: Final = 2**64 - 2  # Loro keeps 2^64 - 1 for itself
_CONTAINER: Final = "t"
_SEED_LABEL: Final = b"echolia/1/text"
# Myers' diff takes quadratic time in what differs; beyond this many characters, lines are compared instead.
_FINE_DIFF_CHARACTERS: Final = 4000
_Seen = TypeVar("_Seen")


@contextmanager
def _loro() -> Iterator[None]:
    """Turn whatever Loro raises into `body_invalid`: bare BaseExceptions, and panics of its Rust code."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001  # what Loro raises is no Exception
        raise EcholiaError("body_invalid", "text") from None


class Text:
    """A text: its blobs and the characters they spell; an update that waits for others spells nothing yet.

    To open a long text costs far more than to import an update into one that is open. So what a join or a
    draft came to keeps its document, and the next one on top of it takes that document over; a text whose
    document was taken, or let go by `close`, opens itself anew when it is asked.
    """

    __slots__ = ("_ahead", "_blobs", "_doc", "content", "sources")

    tag: ClassVar = "text"

    def __init__(
        self,
        sources: tuple[bytes, ...],
        content: str,
        doc: LoroDoc | None = None,
        ahead: tuple[Text, LoroDoc] | None = None,
    ) -> None:
        """`sources` are all that was imported into `doc`; where none is given, they are the blobs as well.

        `ahead`: the text that this one was drafted on, and the document that holds both.
        """
        self.sources, self.content, self._doc, self._ahead = sources, content, doc, ahead
        self._blobs = sources if doc is None else None

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """The blobs, as the plaintext form has them."""
        if self._blobs is None:
            self._blobs = self.sources = self._compacted()
        return self._blobs

    @property
    def open(self) -> bool:
        """Whether its document is open."""
        return self._doc is not None

    @_loro()
    def join(self, other: Text) -> Text:
        """Everything that either holds; raises `body_invalid` if Loro cannot bring the two together."""
        if all(blob in self.sources for blob in other.sources):
            return self
        if all(blob in other.sources for blob in self.sources):
            return other
        base, more = (other, self) if other.open and not self.open else (self, other)
        doc = more.opened_on(base)
        return Text((*base.sources, *more.sources), _content(doc), doc)

    def close(self) -> None:
        """Let go of the open document: nothing more is likely to be joined to this text."""
        if self._doc is not None:
            self._blobs = self.blobs
            self._doc = None

    def tree(self) -> list[object]:
        """The plaintext form."""
        return [self.tag, LORO, *self.blobs]

    def canonical_tree(self) -> list[object]:
        """What two devices with the same operations agree on; Loro's own bytes may differ."""
        return self._read(
            lambda doc: [
                self.tag,
                LORO,
                _versions(doc.oplog_vv),
                self.content,
                sorted(_waiting(doc, self.blobs)),
            ]
        )

    @_loro()
    def _read(self, look: Callable[[LoroDoc], _Seen]) -> _Seen:
        return look(_open(self.sources) if self._doc is None else self._doc)

    def _compacted(self) -> tuple[bytes, ...]:
        def look(doc: LoroDoc) -> tuple[bytes, ...]:
            applied = (doc.export(ExportMode.Snapshot()),) if _versions(doc.oplog_vv) else ()
            return (*applied, *sorted(_waiting(doc, set(self.sources))))

        return self._read(look)

    @_loro()
    def pieces(self, most_bytes: int) -> list[Text]:
        """The same operations as several texts, of at most so many bytes each if a single one fits."""

        def look(doc: LoroDoc) -> list[bytes]:
            versions = sorted(_versions(doc.oplog_vv).items())
            cut = [blob for peer, end in versions for blob in _cut(doc, peer, (0, end), most_bytes)]
            return [*cut, *sorted(_waiting(doc, set(self.sources)))]

        return [Text((blob,), _content(_open((blob,)))) for blob in self._read(look)]

    def opened_on(self, base: Text) -> LoroDoc:
        """A document of `base` and this; if this fails, `base` is still what it was."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] is base:
            return ahead[1]
        doc = base.take()
        for blob in self.sources:
            doc.import_(blob)
        return doc

    def take(self) -> LoroDoc:
        """The document, for a text on top of this one to go on with."""
        doc, self._doc = self._doc, None
        return _open(self.sources) if doc is None else doc


class Draft:
    """One change's edits of a text: open it on the current text, edit, and take the delta."""

    @_loro()
    def __init__(self, current: Text | None, peer: int) -> None:
        """`peer` (0 … 2^64 - 2) is the writing device's own; see the module's rules."""
        self._current = current
        self._doc = current.take() if current else _open(())
        self._before = self._doc.oplog_vv
        self._doc.peer_id = peer
        self._text = self._doc.get_text(_CONTAINER)

    @_loro()
    def replace(self, content: str) -> None:
        """Turn the text into `content` by what differs, so that other devices' edits elsewhere stay."""
        _check(content)
        present = self._text.to_string()
        if not present:
            self._text.insert(0, content)
        elif _differing_characters(present, content) <= _FINE_DIFF_CHARACTERS:
            self._text.update(content)
        else:
            self._text.update_by_line(content)

    @_loro()
    def splice(self, position: int, delete: int, insert: str) -> None:
        """Delete `delete` characters at `position`, then insert; both count Unicode code points."""
        _check(insert)
        if position < 0 or delete < 0 or position + delete > self._text.len_unicode:
            raise EcholiaError("value_invalid", "position in text")
        if delete:
            self._text.delete(position, delete)
        if insert:
            self._text.insert(position, insert)

    @_loro()
    def delta(self) -> Text | None:
        """The edits alone, or `None` if nothing changed. It ends the draft."""
        self._doc.commit()
        if self._doc.oplog_vv == self._before:
            return None
        blob = self._doc.export(ExportMode.Updates(self._before))
        content = "" if _versions(self._before) else _content(self._doc)
        return Text((blob,), content, ahead=(self._current, self._doc) if self._current else None)


def seed_peer(content: str) -> int:
    """The peer that writes a field's first text, so that two imports of one file are the same operations.

    With peers of their own they would each insert it, and the person would read it twice.
    """
    _check(content)
    return min(int.from_bytes(sha256(_SEED_LABEL + content.encode()).digest()[:8], "big"), MAX_PEER)


@_loro()
def read_text(tree: list[object]) -> Text:
    """Check a parsed `text` field, by opening it."""
    if len(tree) < 3 or plaintext.expect_int(tree[1], LORO, LORO, "text codec") != LORO:
        invalid("text")
    blobs = tuple(blob for blob in tree[2:] if type(blob) is bytes)
    if len(blobs) != len(tree) - 2:
        invalid("text")
    doc = _open(blobs)
    if doc.is_shallow():
        invalid("text without its history")  # it could not take in edits older than itself
    return Text(blobs, _content(doc))


def _open(blobs: Iterable[bytes]) -> LoroDoc:
    doc: LoroDoc = LoroDoc()  # type: ignore[no-untyped-call]  # its stub leaves the result out
    for blob in blobs:
        doc.import_(blob)
    return doc


def _cut(doc: LoroDoc, peer: int, span: tuple[int, int], most_bytes: int) -> Iterator[bytes]:
    """The operations of a peer from one counter to another, halved until they are small enough."""
    start, end = span
    blob: bytes = doc.export(ExportMode.UpdatesInRange([IdSpan(peer, CounterSpan(start, end))]))
    if len(blob) <= most_bytes or end - start == 1:
        yield blob
        return
    middle = (start + end) // 2
    yield from _cut(doc, peer, (start, middle), most_bytes)
    yield from _cut(doc, peer, (middle, end), most_bytes)


def _content(doc: LoroDoc) -> str:
    return doc.get_text(_CONTAINER).to_string()


def _waiting(doc: LoroDoc, blobs: Iterable[bytes]) -> list[bytes]:
    """The blobs with operations that the document could not apply yet."""
    if doc.export_pending_updates() is None:
        return []
    applied = doc.oplog_vv
    return [
        blob
        for blob in blobs
        if not applied.includes_vv(LoroDoc.decode_import_blob_meta(blob, False).partial_end_vv)
    ]


def _versions(vector: VersionVector) -> dict[int, int]:
    spans = vector.to_spans().inner()
    return {peer: end for peer, (_, end) in spans.items() if end}


def _check(content: str) -> None:
    try:
        content.encode()
    except UnicodeEncodeError:
        raise EcholiaError("value_invalid", "half a surrogate pair") from None


def _differing_characters(one: str, other: str) -> int:
    """How many characters lie between what two texts share at the start and at the end."""
    start = _shared(one, other)
    end = _shared(one[start:][::-1], other[start:][::-1])
    return len(one) + len(other) - 2 * (start + end)


def _shared(one: str, other: str) -> int:
    """Length of the common start, by halving: comparing slices is far faster than characters."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low

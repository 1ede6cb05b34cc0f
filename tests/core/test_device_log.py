"""The device log: who belongs to an account is provable, whoever serves it, and nothing old ever changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echolia.core import canonical
from echolia.core.device_entries import RECOVERY, SignedEntry, entry_hash
from echolia.core.device_log import DeviceLog, entry_bytes
from echolia.core.errors import EcholiaError
from tests.vectors import reference
from tests.vectors.cases.device_logs import ADD, GENESIS, LATER, REVOKE, Entry, name, signed
from tests.vectors.reference import Identity
from tests.vectors.world import ACCOUNT, LAPTOP, OTHER_ACCOUNT, PHONE, STRANGER, TABLET, identity, seed
from tests.vectors.world import RECOVERY as RECOVERY_KEYS

EXPECTED = {"device_log_invalid", "device_log_conflict", "unsupported_version"}
WHOLE = [GENESIS, ADD, REVOKE, LATER]


def served(*entries: Entry) -> list[SignedEntry]:
    """Entries as they are read from an answer."""
    return [SignedEntry(*entry) for entry in entries]


def code(entries: list[SignedEntry]) -> str | None:
    """The code by which a log is refused, or None; any other exception is the test's failure."""
    try:
        DeviceLog.replay(entries)
    except EcholiaError as error:
        return error.code
    return None


def test_the_story_of_an_account() -> None:
    log = DeviceLog.replay(served(*WHOLE), ACCOUNT)
    assert (log.account, log.length, log.head) == (ACCOUNT, 4, entry_hash(LATER.entry))
    assert [device.device for device in log.active()] == [LAPTOP.id, TABLET.id]
    assert [device.added_n for device in log.devices.values()] == [0, 1, 3]
    cutoff = log.devices[PHONE.id].revoked
    assert cutoff is not None and cutoff.last == 1


def test_appending_leaves_the_log_before_as_it_was() -> None:
    before = DeviceLog.start(*served(GENESIS))
    after = before.append(*served(ADD))
    assert (before.length, after.length) == (1, 2)
    assert PHONE.id not in before.devices and PHONE.id in after.devices
    revoked = after.append(*served(REVOKE))
    assert after.devices[PHONE.id].revoked is None and revoked.devices[PHONE.id].revoked is not None
    with pytest.raises(TypeError):
        after.devices[TABLET.id] = after.devices[PHONE.id]  # type: ignore[index]


def test_nobody_is_added_without_both_signatures() -> None:
    log = DeviceLog.start(*served(GENESIS))
    entry = entry_bytes("add", log, {"device": STRANGER.public, "by": LAPTOP.id})
    for signers in ([], [STRANGER], [LAPTOP], [STRANGER, PHONE]):
        with pytest.raises(EcholiaError, match="signature") as refused:
            log.append(*served(signed(entry, *signers)))
        assert refused.value.code == "device_log_invalid"
    assert log.append(*served(signed(entry, LAPTOP, STRANGER))).length == 2


def test_what_the_server_keeps_is_what_a_device_replays() -> None:
    log = DeviceLog.start(*served(GENESIS))
    for entry in served(*WHOLE[1:]):
        log = log.append(entry)
    assert log == DeviceLog.replay(served(*WHOLE))


def test_an_older_head_is_a_conflict_to_the_server_and_a_lie_to_a_device() -> None:
    log = DeviceLog.replay(served(GENESIS, ADD))
    entry = entry_bytes("add", DeviceLog.start(*served(GENESIS)), {"device": TABLET.public, "by": LAPTOP.id})
    late = SignedEntry(*signed(entry, LAPTOP, TABLET))
    with pytest.raises(EcholiaError) as refused:
        log.append(late)
    assert refused.value.code == "device_log_conflict"
    with pytest.raises(EcholiaError) as refused:
        log.extend(late)
    assert refused.value.code == "device_log_invalid"


def test_another_accounts_log_is_refused() -> None:
    with pytest.raises(EcholiaError, match="another account") as refused:
        DeviceLog.replay(served(GENESIS), OTHER_ACCOUNT)
    assert refused.value.code == "device_log_invalid"


def test_entries_are_written_as_the_specification_says() -> None:
    log = DeviceLog.start(*served(GENESIS))
    assert entry_bytes("add", log, {"device": PHONE.public, "by": LAPTOP.id}) == ADD.entry
    fields = canonical.decode(GENESIS.entry)
    rest = {key: fields[key] for key in ("suite", "nonce", "recovery", "device")}
    assert entry_bytes("genesis", None, rest) == GENESIS.entry


def _cut(entry: Entry) -> Iterator[Entry]:
    for length in range(0, len(entry.entry), 7):
        yield signed(entry.entry[:length], LAPTOP, PHONE)


def test_a_cut_entry_is_refused_though_signed() -> None:
    assert {code(served(GENESIS, cut)) for cut in _cut(ADD)} == {"device_log_invalid"}


@settings(max_examples=300)
@given(st.binary(max_size=100))
@example(b"\xa1av\x02")
@example(canonical.encode({"v": 1, "type": "genesis"}))
@example(canonical.encode({"v": 1, "type": ["add"]}))
@example(canonical.encode([]))
def test_any_bytes_are_refused(entry: bytes) -> None:
    assert code([SignedEntry(entry, {})]) in EXPECTED
    assert code([*served(GENESIS), SignedEntry(entry, {})]) in EXPECTED


SHAPES: dict[str, tuple[Entry, list[Entry], list[Identity]]] = {
    "genesis": (GENESIS, [], [RECOVERY_KEYS, LAPTOP]),
    "add": (ADD, [GENESIS], [LAPTOP, PHONE]),
    "revoke": (REVOKE, [GENESIS, ADD], [LAPTOP]),
}
# Every type CBOR has, in place of every field: no shape of an entry may break the verifier.
STRANGE: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 0, 1, -1, 2**63, 0.5, "", "genesis", b"", bytes(16), bytes(32), [], {}, [[]]]
)


@given(st.sampled_from(["genesis", "add", "revoke"]), st.data())
def test_any_shape_of_an_entry_is_refused(kind: str, data: st.DataObject) -> None:
    whole, before, signers = SHAPES[kind]
    fields = canonical.decode(whole.entry)
    field = data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(STRANGE)
    entry = signed(canonical.encode({**fields, field: value}), *signers)
    found = code(served(*before, entry))
    # These three are anybody's choice, as long as they have the right form.
    assert found in EXPECTED or field in {"nonce", "last", "chain"} or entry == whole


@given(st.permutations(WHOLE))
def test_only_one_order_is_the_log(entries: list[Entry]) -> None:
    assert (code(served(*entries)) is None) == (entries == WHOLE)


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_any_story_of_additions_and_revocations_replays(story: list[bool]) -> None:
    entries, log = [GENESIS], DeviceLog.start(*served(GENESIS))
    for n, adds in enumerate(story):
        guests = [device.device for device in log.active() if device.device != LAPTOP.id]
        if adds or not guests:
            guest = identity(f"guest {n}")
            fields = {"device": guest.public, "by": LAPTOP.id}
            entry = signed(entry_bytes("add", log, fields), LAPTOP, guest)
        else:
            cut = {"device": guests[0], "last": n, "chain": seed("chain"), "by": LAPTOP.id}
            entry = signed(entry_bytes("revoke", log, cut), LAPTOP)
        entries.append(entry)
        log = log.append(*served(entry))
    assert DeviceLog.replay(served(*entries), ACCOUNT) == log
    assert log.length == len(story) + 1


def test_signers_are_named_as_json_names_them() -> None:
    assert set(GENESIS.signatures) == {RECOVERY, name(LAPTOP)}
    assert reference.account_of(GENESIS.entry) == ACCOUNT

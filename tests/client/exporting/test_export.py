"""An export holds all that a home shows, with the evidence; it goes on where it was and harms nothing."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from echolia.client import Declaration, Device, EcholiaError, Increment, declare
from echolia.client.exporting.sealed_file import SealedFile
from echolia.client.ledger import device_log
from echolia.client.transport import Answer, Request
from echolia.core.export_records import CHUNK_BYTES
from echolia.core.merge import decode, view
from echolia.e2ee.exports import SEALED_CHUNK_BYTES, new_head
from tests.client.test_checkpoints import base_of, compacted, filled
from tests.support.devices import World
from tests.support.exports import account, held

PASSPHRASE = "a heron at the weir"


async def lived_in(device: Device) -> dict[str, str]:
    """Objects of each kind: an entry, one in the Trash, a memory, a tag."""
    entries, memories = device.collection("entries"), device.collection("memories")
    note = await entries.create({"title": "Monday", "body": "Rain.", "tags": ["a", "b"], "created": 1})
    gone = await entries.create({"title": "Gone", "body": "Bye."})
    memory = await memories.create({"content": "It rains.", "sources": [note], "access": 2})
    tag = await device.collection("tags").create({"name": "weather"})
    await memories.update(memory, {"access": Increment(3)})
    await entries.delete(gone)
    return {"note": note, "gone": gone, "memory": memory, "tag": tag}


async def test_all_of_it_is_inside_and_the_words_open_it(world: World) -> None:
    laptop, phrase = await account(world)
    ids = await lived_in(laptop)
    await laptop.sync()
    world.pass_s()
    await laptop.collection("entries").update(ids["note"], {"title": "Tuesday"})
    target = world.folder / "all.echolia"
    done = await laptop.export(target)
    assert (done.objects, done.incomplete) == ({"entries": 2, "memories": 1, "tags": 1}, "")
    assert (done.bytes, done.resumed) == (target.stat().st_size, False)
    found = held(target, phrase)
    assert set(found.objects) == set(ids.values())
    note, gone, memory = (found.objects[ids[name]] for name in ("note", "gone", "memory"))
    assert note["fields"] == {"title": "Tuesday", "body": "Rain.", "tags": ["a", "b"], "created": 1}
    assert (note["alive"], gone["alive"]) == (True, False)
    assert memory["fields"] == {"content": "It rains.", "sources": [ids["note"]], "access": 5}
    for one in found.objects.values():
        assert view(decode(one["state"]))["fields"] == one["fields"]
    status = await laptop.status()
    assert found.position is not None
    assert found.position[:2] == (status.epoch, status.seq) == (status.epoch, done.evidence_seq)
    assert found.counts["run"] == done.runs == 2
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not target.with_name("all.echolia.part").exists()


async def test_lengths_tell_little_and_contents_nothing(world: World) -> None:
    laptop, _ = await account(world)
    sizes = set()
    for n in range(8):
        await laptop.collection("entries").create({"title": "a secret word", "body": "a secret word " * n})
        target = world.folder / f"{n}.echolia"
        await laptop.export(target)
        assert b"secret" not in target.read_bytes()
        assert b"entries" not in target.read_bytes()
        sizes.add(target.stat().st_size)
    assert len(sizes) == 1


async def test_without_the_server_it_says_that_evidence_is_missing(world: World) -> None:
    laptop, phrase = await account(world)
    ids = await lived_in(laptop)
    offline = await laptop.export(world.folder / "offline", online=False)
    assert (offline.incomplete, offline.runs, offline.evidence_seq) == ("offline", 0, None)
    assert offline.unsent > 0
    world.transport("laptop").down = True
    down = await laptop.export(world.folder / "down")
    assert (down.incomplete, down.evidence_seq) == ("server_unreachable", None)
    for name in ("offline", "down"):
        found = held(world.folder / name, phrase)
        assert set(found.objects) == set(ids.values())
        assert found.counts["evidence"] == found.counts["run"] == 0


async def test_a_server_that_lies_keeps_nobody_from_leaving(world: World) -> None:
    laptop, phrase = await account(world)
    ids = await lived_in(laptop)
    await laptop.sync()
    synced = [False]

    def lie(request: Request, answer: Answer) -> Answer:
        if request.path == "/sync/pull" and synced[0] and answer.status == 200:
            return Answer(200, answer.body[:-1] + bytes((answer.body[-1] ^ 1,)))
        synced[0] |= request.path == "/sync/checkpoint"
        return answer

    world.transport("laptop").meddle = lie
    done = await laptop.export(world.folder / "out")
    assert done.incomplete in {"chain_broken", "log_rewritten", "server_invalid"}
    found = held(world.folder / "out", phrase)
    assert set(found.objects) == set(ids.values())
    assert found.counts["run"] == 0
    world.transport("laptop").meddle = None
    assert (await laptop.export(world.folder / "again")).incomplete == ""


async def test_the_passphrase_opens_it_too_and_no_other(world: World) -> None:
    laptop, phrase = await account(world)
    await lived_in(laptop)
    target = world.folder / "out"
    for wrong in ("seven77", "x" * 1025, phrase):
        with pytest.raises(EcholiaError, match="passphrase_invalid"):
            await laptop.export(target, passphrase=wrong)
    assert not target.exists()
    await laptop.export(target, passphrase=PASSPHRASE)
    assert held(target, PASSPHRASE).objects == held(target, phrase).objects
    with pytest.raises(EcholiaError, match="export_locked"):
        held(target, PASSPHRASE + "s")


async def test_nothing_is_replaced_unless_it_is_said(world: World) -> None:
    laptop, phrase = await account(world)
    target, part = world.folder / "out", world.folder / "out.part"
    target.write_text("mine")
    with pytest.raises(EcholiaError, match="export_exists"):
        await laptop.export(target)
    with pytest.raises(EcholiaError, match="export_exists"):
        await laptop.export(world.folder, force=True)
    part.write_text("mine as well")
    with pytest.raises(EcholiaError, match="export_exists"):
        await laptop.export(target, force=True)
    assert (target.read_text(), part.read_text()) == ("mine", "mine as well")
    part.unlink()
    part.symlink_to(target)
    with pytest.raises(EcholiaError, match="export_exists"):
        await laptop.export(target, force=True)
    part.unlink()
    other, _ = await account(world, "other")
    await other.export(world.folder / "theirs")
    (world.folder / "theirs").rename(part)
    with pytest.raises(EcholiaError, match="export_exists"):
        await laptop.export(target, force=True)
    part.unlink()
    await laptop.export(target, force=True)
    assert held(target, phrase).objects == {}


def cut(path: Path, length: int) -> None:
    """Leave the first bytes of a finished export as its part."""
    part = path.with_name(path.name + ".part")
    path.rename(part)
    os.truncate(part, length)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.8, 0.95, 1.0])
async def test_it_goes_on_where_it_was(world: World, share: float) -> None:
    laptop, phrase = await account(world)
    entries = laptop.collection("entries")
    for start in range(0, 300, 20):
        await entries.create_many(
            {"title": f"note {n}", "body": f"{n} " * 200} for n in range(start, start + 20)
        )
        await laptop.sync()
    target = world.folder / "out"
    whole = await laptop.export(target)
    before, cut_at = target.read_bytes(), int(share * whole.bytes)
    cut(target, cut_at)
    again = await laptop.export(target)
    after = target.read_bytes()
    assert again.resumed == (cut_at > 500)
    assert held(target, phrase).counts["object"] == 300
    # What was whole is still the same bytes: nothing was made twice but a run that was cut in two.
    kept = max(0, cut_at - 4 * SEALED_CHUNK_BYTES)
    assert before[:kept] == after[:kept]
    assert len(after) == len(before)


async def test_what_changed_meanwhile_is_written_as_it_is_now(world: World) -> None:
    laptop, phrase = await account(world)
    entries = laptop.collection("entries")
    ids = await entries.create_many({"title": f"note {n}", "body": f"{n} " * 200} for n in range(300))
    target = world.folder / "out"
    await laptop.export(target)
    cut(target, int(0.8 * target.stat().st_size))
    await entries.update(ids[200], {"title": "changed"})
    await entries.create({"title": "one more"})
    assert (await laptop.export(target)).resumed
    found = held(target, phrase).objects
    assert len(found) == 301
    assert found[ids[200]]["fields"]["title"] == "changed"


async def test_a_part_that_was_damaged_or_is_for_others_is_no_obstacle(world: World) -> None:
    laptop, phrase = await account(world)
    await laptop.collection("entries").create_many({"title": "x", "body": "y" * 3000} for _ in range(50))
    target = world.folder / "out"
    await laptop.export(target)
    part = target.with_name("out.part")
    target.rename(part)
    raw = bytearray(part.read_bytes())
    raw[3 * CHUNK_BYTES] ^= 1
    part.write_bytes(raw)
    assert (await laptop.export(target)).resumed
    held(target, phrase)
    target.rename(part)
    assert not (await laptop.export(target, passphrase=PASSPHRASE)).resumed  # the part had none
    held(target, PASSPHRASE)
    target.rename(part)
    assert not (await laptop.export(target, passphrase="another passphrase")).resumed
    held(target, "another passphrase")
    target.rename(part)
    assert (await laptop.export(target, passphrase="another passphrase")).resumed


async def test_a_part_that_somebody_planted_is_not_gone_on_with(world: World) -> None:
    laptop, phrase = await account(world)
    await laptop.collection("entries").create({"title": "x"})
    target, part = world.folder / "out", world.folder / "out.part"
    identity = laptop._replica.identity
    recovery = device_log(laptop._replica.database).recovery_box
    # Whoever plants it knows all that is public, and the file key that they chose.
    head, key = new_head(identity.account, 0, recovery, bytes(32), None, Random(1).randbytes)
    part.write_bytes(head.raw + head.commitment)
    assert not (await laptop.export(target)).resumed
    held(target, phrase)
    export = SealedFile(target)
    with pytest.raises(EcholiaError, match="export_invalid"):
        list(export.records(key))
    export.close()


async def test_evidence_that_was_fetched_is_kept_without_the_server(world: World) -> None:
    laptop, phrase = await account(world)
    for _ in range(20):
        await laptop.collection("entries").create_many({"title": "x", "body": "y" * 300} for _ in range(5))
        await laptop.sync()
    target = world.folder / "out"
    whole = await laptop.export(target)
    target.rename(target.with_name("out.part"))
    world.transport("laptop").down = True
    again = await laptop.export(target)
    # All but what stood in the last chunk, which is sealed as the last.
    assert whole.runs // 2 < again.runs < whole.runs
    assert again.incomplete == "server_unreachable"
    found = held(target, phrase)
    assert found.counts["run"] == again.runs
    assert found.position is not None and found.position[1] == again.evidence_seq


async def test_a_log_that_was_compacted_is_evidence_from_its_base_on(world: World) -> None:
    laptop = await filled(world)
    phone = await world.added(laptop)
    await compacted(world, laptop, phone)
    await compacted(world, laptop, phone)
    assert await base_of(world, laptop) > 0
    done = await laptop.export(world.folder / "out", passphrase=PASSPHRASE)
    assert (done.incomplete, done.devices) == ("", 2)
    found = held(world.folder / "out", PASSPHRASE)
    assert found.position is not None
    assert found.position[1] == (await laptop.status()).seq
    # Cut anywhere within the evidence it still goes on.
    for share in (0.9, 0.97, 1.0):
        cut(world.folder / "out", int(share * done.bytes))
        again = await laptop.export(world.folder / "out", passphrase=PASSPHRASE)
        assert (again.resumed, again.runs) == (True, done.runs)
        assert held(world.folder / "out", PASSPHRASE).counts == found.counts


async def test_collections_that_are_not_declared_are_inside(world: World) -> None:
    moods: Declaration = declare("moods", label="multi")
    laptop, phrase = await account(world)
    await laptop.aclose()
    async with await Device.open(
        world.folder / "laptop", collections=[moods], **world.around("laptop", seed="more")
    ) as laptop:
        mood = await laptop.collection("moods").create({"label": "calm"})
    async with await Device.open(world.folder / "laptop", **world.around("laptop", seed="again")) as laptop:
        await laptop.export(world.folder / "out")
    assert held(world.folder / "out", phrase).objects[mood]["fields"] == {"label": "calm"}


UNTIL_FULL = """
import asyncio, json, resource, sys
from pathlib import Path
from echolia.client import Device, EcholiaError

async def main():
    home, target, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    async with await Device.open(home) as device:
        if size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            done = await device.export(target, online=False)
            print(json.dumps(["", done.resumed]))
        except EcholiaError as error:
            print(json.dumps([error.code, None]))

asyncio.run(main())
"""


async def test_a_full_disk_keeps_what_is_done(world: World) -> None:
    laptop, phrase = await account(world)
    await laptop.collection("entries").create_many({"title": "x", "body": "y" * 3000} for _ in range(200))
    await laptop.aclose()
    target, part = world.folder / "out", world.folder / "out.part"

    async def export(limit: int) -> list[object]:
        command = [sys.executable, "-c", UNTIL_FULL, str(world.folder / "laptop"), str(target), str(limit)]
        run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        said: list[object] = json.loads(run.stdout)
        return said

    assert await export(250_000) == ["disk_full", None]
    assert not target.exists()
    assert 200_000 < part.stat().st_size <= 250_000
    assert await export(0) == ["", True]
    assert held(target, phrase).counts["object"] == 200

"""Rules of keys and pairing: what is sealed to whom, what the digits prove, what is not shown."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PAIRING: Final = "echolia/e2ee/pairing.py"
_SEALING: Final = "echolia/e2ee/sealing.py"
_ATTACKS: Final = "tests/client/test_pairing_attacks.py"
_GENERATIONS: Final = "tests/client/test_generations.py"
_RECOVERY: Final = "tests/client/test_recovery.py"
_RULES: Final = ("tests/vectors/test_vectors.py::test_the_rules_hold",)

KEYS: Final = (
    Mutant(
        "the device log takes a key to which nothing can be sealed",
        "echolia/core/device_entries.py",
        "    if not can_be_sealed_to(box):\n",
        "    if not box:\n",
        _RULES,
    ),
    Mutant(
        "a pairing takes a key to which nothing can be sealed",
        _PAIRING,
        '        if not can_be_sealed_to(fields["box"]):\n',
        '        if not fields["box"]:\n',
        _RULES,
    ),
    Mutant(
        "a guest may reveal other keys than it committed to",
        _PAIRING,
        "        if not compare_digest(reveal.commitment(), commitment):\n",
        "        if not commitment:\n",
        (f"{_ATTACKS}::test_keys_that_it_chose_to_match_come_too_late",),
    ),
    Mutant(
        "any six digits add a device",
        "echolia/client/pairing.py",
        "        if not compare_digest(typed.encode(), agreement.digits().encode()):\n",
        "        if not typed:\n",
        (f"{_ATTACKS}::test_a_server_that_knows_the_code_sits_in_between",),
    ),
    Mutant(
        "a new device believes an owner who did not see its digits",
        "echolia/client/joining.py",
        "        if not compare_digest(mac, met.agreement.mac()):\n",
        "        if not mac:\n",
        ("tests/client/test_pairing.py::test_an_approval_that_was_not_given",),
    ),
    Mutant(
        "the suite is not bound into a body",
        _SEALING,
        "    place = bytes((SUITE,)) + account",
        "    place = bytes((SUITE,))[:0] + account",
        ("tests/e2ee/test_sealing.py::test_each_part_of_a_bodys_place_counts_by_itself",),
    ),
    Mutant(
        "a body's nonce is its counter",
        _SEALING,
        "    nonce = dice(NONCE_BYTES)\n    subkey,",
        '    nonce = draft.counter.to_bytes(NONCE_BYTES, "big")\n    subkey,',
        ("tests/client/test_nonces.py::test_a_home_restored_from_a_backup",),
    ),
    Mutant(
        "a vault of version `true` is one of version 1",
        "echolia/client/vault.py",
        '    if not isinstance(fields, dict) or type(fields.get("v")) is not int:\n',
        '    if not isinstance(fields, dict) or fields.get("v") is None:\n',
        ("tests/vectors/test_versions.py::test_no_other_version_is_taken",),
    ),
    Mutant(
        "secret bytes show themselves",
        "echolia/e2ee/secret.py",
        '        return f"<{len(self)} secret bytes>"\n',
        "        return bytes.__repr__(self)\n",
        ("tests/e2ee/test_tracebacks.py::test_no_key_is_in_a_crash_report",),
    ),
    Mutant(
        "a revocation makes no rotation due",
        "echolia/core/device_log.py",
        "        return self.revoked_n > (self.rotations[-1].n if self.rotations else 0)\n",
        "        return self.revoked_n < 0\n",
        (f"{_GENERATIONS}::test_a_revocation_begins_a_generation_that_the_revoked_device_cannot_know",),
    ),
    Mutant(
        "the server takes a rotation that leaves somebody out",
        "echolia/auth/service/key_boxes.py",
        "    if sorted(found) != sorted((recipient, log.generation) for recipient in wanted):\n",
        "    if not found or not wanted:\n",
        (f"{_GENERATIONS}::test_the_server_takes_all_boxes_or_none",),
    ),
    Mutant(
        "a device believes a box that nobody of the account signed",
        "echolia/client/key_boxes.py",
        "    if signer is None or not verify(signer.sign, message, signature):\n",
        "    if not signature:\n",
        (f"{_GENERATIONS}::test_a_server_that_keeps_the_new_key_back_is_named",),
    ),
    Mutant(
        "a new phrase need not sign that it is one",
        "echolia/core/device_log.py",
        "            signers = {**signers, RECOVERY: recovery[0]}\n",
        "            signers = {**signers}\n",
        _RULES,
    ),
    Mutant(
        "a new device may shut the others out at once",
        "echolia/auth/service/rights.py",
        "        if self.clock_ms() < until_ms:\n",
        "        if self.clock_ms() < until_ms * 0:\n",
        ("tests/client/test_new_device_rights.py::test_a_new_device_changes_nothing_about_the_others",),
    ),
    Mutant(
        "a new phrase is forgotten when its rotation is interrupted",
        "echolia/client/generations.py",
        "        opened.keep(replace(opened.vault, staged=staged))\n",
        "        opened.vault = replace(opened.vault, staged=staged)\n",
        (f"{_RECOVERY}::test_a_lost_answer_loses_no_phrase",),
    ),
    Mutant(
        "a phrase believes any account that it is shown",
        "echolia/client/recovering.py",
        "    if (log.recovery_sign, log.recovery_box) != (recovery.sign_public, recovery.box_public):\n",
        "    if not log.recovery_sign:\n",
        (f"{_RECOVERY}::test_a_server_that_shows_another_account",),
    ),
)

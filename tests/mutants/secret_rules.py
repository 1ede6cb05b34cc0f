"""Rules that keep secrets: what pairing proves, and how a home's secrets are kept."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_PAIRING: Final = "echolia/e2ee/pairing.py"
_PASSPHRASE: Final = "echolia/e2ee/passphrase.py"
_VAULT_SEAL: Final = "echolia/e2ee/vault_seal.py"
_KEYCHAIN: Final = "echolia/client/keychain.py"
_VAULTS: Final = ("tests/vectors/test_vectors.py::test_the_rules_hold",)
_KEPT: Final = ("tests/client/test_secrets_kept.py",)

SECRETS: Final = (
    Mutant(
        "the six digits do not depend on the owner's key",
        _PAIRING,
        "sha256(mailbox + account + reveal.raw + owner_eph + log_head).digest())",
        "sha256(mailbox + account + reveal.raw + log_head).digest())",
        ("tests/e2ee/test_pairing.py",),
    ),
    Mutant(
        "a pairing sends the secrets under what the code holds",
        _PAIRING,
        "        return Secret(derive(32, self.dh, self.transcript, person))\n",
        "        return Secret(derive(32, self.transcript, self.transcript, person))\n",
        ("tests/client/test_pairing_overheard.py",),
    ),
    Mutant(
        "a vault may ask for as little work as it likes",
        _PASSPHRASE,
        "            type(asked) is int and least <= asked <= most\n",
        "            type(asked) is int and asked <= most\n",
        _VAULTS,
    ),
    Mutant(
        "a vault's key is not checked before it is used",
        _VAULT_SEAL,
        '        if not compare_digest(_derived(self.terms, key, b"echolia1/vltchk"), self.check):\n',
        "        if not self.check:\n",
        _VAULTS,
    ),
    Mutant(
        "a vault is sealed twice under one nonce",
        _VAULT_SEAL,
        "dice(NONCE_BYTES)\n        sealing",
        "bytes(NONCE_BYTES)\n        sealing",
        _KEPT,
    ),
    Mutant(
        "a key stays in memory when its home is closed",
        "echolia/client/opening.py",
        "        self.vault.keeping.forget()\n",
        "",
        _KEPT,
    ),
    Mutant(
        "a file in the clear is taken for a keychain",
        _KEYCHAIN,
        "    return backend if backend.priority >= _LEAST_PRIORITY else None\n",
        "    return backend if backend.priority >= 0 else None\n",
        ("tests/client/test_keychain.py",),
    ),
    Mutant(
        "a keychain that drops what it is given is believed",
        _KEYCHAIN,
        "        if not compare_digest(self.get(name), secret):\n",
        "        if not secret:\n",
        _KEPT,
    ),
)

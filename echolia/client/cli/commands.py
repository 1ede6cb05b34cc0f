"""The commands of a device, in the order in which a newcomer needs them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from echolia.client.cli.lazy_group import LazyCommand

_HERE: Final = "echolia.client.cli"
COMMANDS: Final[Mapping[str, LazyCommand]] = MappingProxyType(
    {
        "init": LazyCommand(
            f"{_HERE}.account:init", "Make an account on a server; shows its recovery phrase."
        ),
        "import": LazyCommand(
            f"{_HERE}.import_notes:import_notes", "Bring in Markdown files, a Day One export, or an export."
        ),
        "export": LazyCommand(f"{_HERE}.export:export", "Take everything along, in one encrypted file."),
        "archives": LazyCommand(f"{_HERE}.export:archives", "List the exports that were brought in here."),
        "pair": LazyCommand(f"{_HERE}.pairing:pair", "Add another device: shows the code that it joins by."),
        "join": LazyCommand(f"{_HERE}.pairing:join", "Make this a device of an account, by a code."),
        "sync": LazyCommand(f"{_HERE}.syncing:sync", "Send what is new here, fetch what is new elsewhere."),
        "list": LazyCommand(f"{_HERE}.listing:list_records", "List what is here."),
        "show": LazyCommand(f"{_HERE}.records:show", "Show one thing."),
        "add": LazyCommand(f"{_HERE}.records:add", "Write something new."),
        "edit": LazyCommand(f"{_HERE}.records:edit", "Change something."),
        "rm": LazyCommand(f"{_HERE}.records:remove", "Put something into the trash."),
        "restore": LazyCommand(
            f"{_HERE}.records:restore", "Take something out of the trash, or back to a version."
        ),
        "history": LazyCommand(f"{_HERE}.history:list_versions", "List what something was before."),
        "conflicts": LazyCommand(f"{_HERE}.conflicts:list_conflicts", "List what waits for a decision."),
        "resolve": LazyCommand(f"{_HERE}.conflicts:resolve", "Decide about a conflict."),
        "search": LazyCommand(f"{_HERE}.listing:search", "Find words, or what means the like."),
        "embed": LazyCommand(f"{_HERE}.embed:embed", "Make the vectors by which meaning is found."),
        "ask": LazyCommand(f"{_HERE}.ask:ask", "Ask a model, sealed up to the server that asks it."),
        "models": LazyCommand(f"{_HERE}.ask:models", "List the models that may be asked."),
        "usage": LazyCommand(f"{_HERE}.ask:usage", "Say what asking models took."),
        "subscription": LazyCommand(
            f"{_HERE}.subscription:subscription", "Say what the account has for its purchases."
        ),
        "proxy": LazyCommand(f"{_HERE}.proxy:proxy", "Let other programs ask models through this device."),
        "watch": LazyCommand(f"{_HERE}.syncing:watch", "Stay and tell what other devices change."),
        "status": LazyCommand(f"{_HERE}.syncing:status", "Say how this device and its server stand."),
        "brake": LazyCommand(f"{_HERE}.brake:brake", "Decide about what other devices would delete at once."),
        "ledger": LazyCommand(f"{_HERE}.ledger:ledger", "Say what the server knows of this account."),
        "devices": LazyCommand(f"{_HERE}.account:devices", "List the account's devices."),
        "revoke": LazyCommand(f"{_HERE}.account:revoke", "Shut a device out."),
        "confirm": LazyCommand(f"{_HERE}.keys:confirm", "Say that a new device belongs here."),
        "recover": LazyCommand(f"{_HERE}.keys:recover", "Rebuild everything from the 24 words."),
        "drill": LazyCommand(f"{_HERE}.keys:drill", "Show that the 24 words still open the account."),
        "phrase": LazyCommand(f"{_HERE}.keys:phrase", "Replace the 24 words."),
        "rotate": LazyCommand(f"{_HERE}.keys:rotate", "Begin a new account key."),
        "passphrase": LazyCommand(
            f"{_HERE}.secrets_kept:passphrase", "Put this home's secrets under a passphrase."
        ),
        "keychain": LazyCommand(
            f"{_HERE}.secrets_kept:keychain", "Let this machine's keychain keep this home's key."
        ),
        "account": LazyCommand(f"{_HERE}.account:account", "Delete the account."),
        "demo": LazyCommand(
            f"{_HERE}.demo.story:demo", "Two devices, a server and a thief, in twenty seconds."
        ),
    }
)
EPILOG: Final = """Exit codes: 0 done; 1 failed, with one line on standard error and its code in brackets;
2 wrong words; 130 interrupted. With --json results are JSON on standard output, and a failure is
{"error": {"code", "message"}} on standard error.
Example: echolia init --server http://127.0.0.1:8000 --home ./laptop"""

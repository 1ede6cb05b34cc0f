"""Every error Echolia can name: a stable code, what it means, what to do; never what was sent.

    EcholiaError
      └─ (by code, in groups)   request · auth · sync · sealed data · device · storage

The table below is the one list: `spec/errors.md` documents each row and `echolia/web/error_responses.py`
gives each its HTTP status.
"""

from __future__ import annotations

from typing import Final

CODES: Final[dict[str, str]] = {
    # request
    "malformed_json": "The body is not valid JSON. Send one JSON object in UTF-8.",
    "malformed_binary": "The binary body does not follow spec/sync.md. Check lengths and versions.",
    "invalid_request": "A field is missing or has the wrong form; `errors` names where.",
    "unsupported_version": "This version is not spoken here. Update the client or the server.",
    "unsupported_media_type": "This endpoint does not take that content type.",
    "not_found": "There is nothing at this address.",
    "method_not_allowed": "This address does not take that method.",
    "body_too_large": "The body is larger than this endpoint takes. Send less at a time.",
    "body_too_slow": "The body did not arrive in time. Send it again.",
    "rate_limited": "Too many requests. Wait as long as Retry-After says.",
    "unavailable": "The server cannot answer just now. Try again after Retry-After.",
    "internal": "The server failed. Try again; if it stays, report the request id.",
    # auth
    "unauthorized": "No valid access token was sent. Get one with a device signature.",
    "token_expired": "The access token has expired. Refresh it.",
    "token_reused": "This refresh token was used before; its family is revoked. Sign in again.",
    "device_revoked": "This device was revoked from the account.",
    "device_new": "This device is new here. Confirm it on another device, or wait two days.",
    "key_box_withheld": "The server does not give this device the account's new key.",
    "device_unknown": "No such device in this account.",
    "account_exists": "This account is registered already. Sign in instead.",
    "account_unknown": "There is no such account on this server.",
    "signature_invalid": "A signature does not verify.",
    "challenge_invalid": "The challenge is unknown, used or expired. Ask for another.",
    "proof_of_work_required": "Sign-up is busy: solve the puzzle in `challenge` and send it along.",
    "proof_of_work_invalid": "The puzzle's solution is wrong, used or expired.",
    "device_log_invalid": "A device log entry breaks the rules of spec/keys.md.",
    "device_log_conflict": "The device log has moved on. Fetch it and sign again.",
    "device_last": "The last device cannot revoke itself. Delete the account instead.",
    "too_many_devices": "The account has as many devices as it may. Revoke one first.",
    "mailbox_unknown": "The pairing has expired or never was. Start it again.",
    "mailbox_full": "The pairing was tried too often. Start it again.",
    # sync
    "run_invalid": "A run breaks the rules of spec/sync.md; `at` names the change.",
    "run_gap": "Changes before this run are missing here. Push from the counter in `expected`.",
    "run_skipped": "Not looked at: an earlier run of the same device was refused.",
    "device_fork": "This device wrote two different histories. It needs a new identity.",
    "seen_unknown": "The run says it saw a log position that this server never had.",
    "cursor_ahead": "The cursor is ahead of this server's log. It may have lost history.",
    "must_rebase": "The cursor's epoch or its history is over. Save unsent changes, then start again.",
    "checkpoint_invalid": "The checkpoint breaks spec/checkpoints.md, or is not what the log adds up to.",
    "ticket_invalid": "The ticket is unknown, used or expired. Ask for another.",
    "listeners_full": "Too many live listeners. Close some first.",
    "quota_exceeded": "The account's quota is used up. Delete or upgrade; reading still works.",
    # sealed requests
    "sealed_invalid": "What was sealed does not open, or breaks spec/sealed.md.",
    "sealed_key_unknown": "This server has no such key any more. Fetch its keys and seal again.",
    "sealed_elsewhere": "This was sealed for another address or by another account.",
    "sealed_stale": "This was sealed too long ago, or in the future. Check the clock, then seal again.",
    "sealed_replayed": "This was sent before. Seal again.",
    "sealed_truncated": "The answer was cut short. Ask again.",
    "sealed_keys_invalid": "The server's keys are not signed as they should be. Check its address.",
    "sealed_keys_untrusted": "Another identity than this server's signed these keys. Nothing was sent.",
    "sealed_keys_stale": "The server shows old keys, or this device's clock is far off. Nothing was sent.",
    # sealed data
    "body_unreadable": "A sealed body does not open with the keys at hand.",
    "body_invalid": "A sealed body opened but holds no valid object state.",
    "key_missing": "The key generation that sealed this is not known on this device yet.",
    "key_box_invalid": "A key box does not open or is not signed by a device of the account.",
    "phrase_other": "These words are another account's, or were replaced since.",
    "phrase_invalid": "These are not the 24 words of a recovery phrase.",
    # what a device found out about its server
    "chain_broken": "The server served changes whose chain or signature does not hold.",
    "log_rewritten": "The server's log is not the one this device saw before.",
    "log_rolled_back": "The server's log is shorter than this device saw before.",
    "history_forked": "Another device saw a different history at the same position.",
    "ghost_device": "The server served changes of a device that the account never added.",
    "history_withheld": "The server left out changes that a checkpoint says still count.",
    "server_reset": "The server no longer knows this account; ask who runs it. Nothing was deleted here.",
    # the device and its command line
    "home_missing": "There is no Echolia home here. Run `echolia init` or `echolia join` first.",
    "home_exists": "This folder already holds an Echolia home. Choose another with --home.",
    "home_damaged": "The home's database is damaged or not a database. Restore it or join again.",
    "home_locked": "Another echolia command is using this home. Wait for it to end.",
    "home_newer": "This home was written by a newer Echolia. Update this one.",
    "passphrase_needed": "This home is under a passphrase: use a terminal, or ECHOLIA_PASSPHRASE_FILE.",
    "passphrase_wrong": "This is not the passphrase of this home. Try again.",
    "passphrase_invalid": "A passphrase is text of 8 to 1,024 characters. Choose another.",
    "vault_refused": "The vault asks for too little or too much work: it may be a planted one. Join again.",
    "keychain_unavailable": "The keychain does not give this home's key. Unlock it, or join again elsewhere.",
    "server_unreachable": "The server does not answer. Changes are kept here; sync again later.",
    "server_invalid": "The server's answer does not follow the protocol. Check the server's address.",
    "mass_change": "Other devices would delete or overwrite much of what is here. See `echolia brake`.",
    "object_unknown": "No object here has this id.",
    "object_exists": "There is an object of this id already. Edit it instead.",
    "object_ambiguous": "More than one object's id starts so. Give more of it.",
    "object_quarantined": "Part of this object could not be read; see `echolia status`.",
    "collection_unknown": "No such collection is declared.",
    "collection_invalid": "A collection or field name does not follow the rules.",
    "field_unknown": "The collection has no such field.",
    "field_policy": "This kind of edit does not fit the field's policy.",
    "value_invalid": "This value cannot be kept in that field; see spec/merge.md#values.",
    "object_in_trash": "The object is in the Trash. Restore it first.",
    "version_unknown": "The history has no such version of the object; see `echolia history`.",
    "conflict_changed": "The conflict is another one by now. Look at it again, then decide.",
    "import_unreadable": "A file could not be read as UTF-8 text or Day One JSON.",
    "import_outside": "A path leads outside the import folder.",
    "import_edited": "The note was edited here and in its file. The one here was kept; edit it yourself.",
    "export_invalid": "This is no export, or it is damaged or cut short. Copy or make it again.",
    "export_locked": "These words or this passphrase do not open the export. Give those it was made with.",
    "export_exists": "There is something of this name already, and it was left alone. Choose another.",
    "export_own": "This export is of this very account: what is in it comes by syncing, if it is not here.",
    "pairing_code_invalid": "This is not a pairing code, or part of it is missing.",
    "pairing_expired": "The code has expired, or its pairing has ended. Show a new one: `echolia pair`.",
    "pairing_taken": "Another device has taken this code. Show a new one, to your own device alone.",
    "pairing_failed": "Pairing did not complete. Start it again on both devices.",
    "pairing_check_failed": "The six digits do not match. Nothing was shared; start again.",
    "usage": "The command's words are off; see --help.",
    "disk_full": "The disk is full. Nothing was lost; free some room and run it again.",
    # models
    "ask_invalid": "What was asked of the model has the wrong form; `detail` names where.",
    "model_unknown": "There is no such model here; see `echolia models`.",
    "model_lacks": "This model cannot do what was asked; `detail` names it. Ask another model.",
    "upstream_unreachable": "The model's provider does not answer. Try again later.",
    "upstream_timeout": "The model's provider took too long. Try again, or ask for less.",
    "upstream_overloaded": "The model's provider has too much to do. Try again after a while.",
    "upstream_failed": "The model's provider failed. Try again later.",
    "upstream_refused": "The model's provider does not take this request. Change what is asked.",
    "upstream_credentials": "The model's provider does not take this server's key. Tell who runs it.",
    "upstream_truncated": "The answer broke off before its end. Ask again.",
    "upstream_malformed": "The model's provider answered something that it should not. Ask again.",
    # embeddings
    "embedding_too_long": "This is more text than is embedded at a time. Send fewer or shorter texts.",
    "embeddings_busy": "The server has too much to embed. Try again after Retry-After.",
    "embeddings_late": "The server did not embed this in time. Try again, or send less at a time.",
    "embeddings_wait": "No model that embeds is at hand. Install echolia[embeddings], or go online.",
    "model_damaged": "The model's files are not those that were published. Install them again.",
    # payments
    "receipt_invalid": "This receipt is forged, of another app or store environment, or not whole.",
    "notification_invalid": "This notification is not the store's, or not for this server.",
    "store_unknown": "This server takes no purchases of that store.",
    "store_unavailable": "The store does not answer. What is bought stays bought; try again later.",
    "purchase_owned": "This purchase belongs to another account. Restore it to have it here.",
    "restore_proof_used": "This restore was asked before. Ask with a fresh challenge.",
    "restore_limited": "This purchase has moved as often as it may. Try again in some days.",
    # storage
    "storage_constraint": "A write conflicts with what is stored.",
    "storage_busy": "The database is busy. Try again.",
    "storage_uncertain": "Whether this was stored is not known. Try again.",
    "storage_missing": "There is no such database.",
    "storage_elsewhere": "This account is being handed over to another server process. Try again.",
    "storage_exists": "There is such a database already.",
    "storage_full": "The server's disk is full. Nothing was lost; sync again later.",
    "storage_damaged": "A database file is damaged or not this account's.",
    "storage_failed": "The database refused the operation.",
    "database_blocked": "This account is blocked by whoever runs the server.",
    "database_quarantined": "This account's database could not be upgraded and is left as it is.",
    "account_ambiguous": "More than one account's id starts so. Give more of it.",
    "move_unverified": "What was copied is not what is there, so nothing was moved. Run it again.",
    "snapshot_invalid": "This is no snapshot of this account, or it is damaged, or its key is gone.",
    "home_unknown": "The server does not know the place where this account's database lives.",
    "storage_owned": "Another server process owns this data folder.",
    "home_local": "Accounts live in this machine's files, which no other reaches: `echolia db move` them.",
    "machines_differ": "This machine differs from the others of the directory. Make alike what is named.",
    "machines_serve": "Other machines serve this directory's accounts. Set ECHOLIA_ADDRESS, or stop them.",
    "directory_unreachable": "The directory's PostgreSQL cannot be reached, or does not let the server in.",
    "directory_elsewhere": "There is a directory in a file as well: see `echolia directory copy`.",
    "directory_taken": "There is a directory in that database already; it was left alone.",
    "migration_changed": "A migration that was applied before has been altered.",
    "migration_behind": "The database is of an older version. Start the server once to bring it up to date.",
    "migration_ahead": "The database was written by a newer version. Update the code.",
    # settings
    "settings_invalid": "A setting has a value it cannot have.",
    "open_files_limited": "The server needs more open files than this process may have.",
}

# What only the side that finds it can say: an answer with one of these says nothing.
NEVER_ANSWERED: Final = frozenset(
    {
        "body_unreadable", "body_invalid", "key_missing", "phrase_invalid", "phrase_other",
        "sealed_truncated", "sealed_keys_invalid", "sealed_keys_untrusted", "sealed_keys_stale",
        "chain_broken", "log_rewritten", "log_rolled_back", "history_forked", "ghost_device",
        "history_withheld", "key_box_withheld", "server_reset", "mass_change",
        "home_missing", "home_exists", "home_damaged", "home_locked", "home_newer",
        "passphrase_needed", "passphrase_wrong", "passphrase_invalid", "vault_refused",
        "keychain_unavailable",
        "server_unreachable", "server_invalid",
        "object_unknown", "object_exists", "object_ambiguous", "object_quarantined", "object_in_trash",
        "version_unknown", "conflict_changed",
        "collection_unknown", "collection_invalid", "field_unknown", "field_policy", "value_invalid",
        "import_unreadable", "import_outside", "import_edited",
        "export_invalid", "export_locked", "export_exists", "export_own",
        "pairing_code_invalid", "pairing_expired", "pairing_taken", "pairing_failed", "pairing_check_failed",
        "usage", "disk_full", "embeddings_wait", "model_damaged",
        "account_ambiguous", "move_unverified", "snapshot_invalid",
        "storage_owned", "home_local", "machines_differ", "machines_serve",
        "directory_unreachable", "directory_elsewhere", "directory_taken",
        "migration_changed", "migration_behind", "migration_ahead", "settings_invalid", "open_files_limited",
    }
)  # fmt: skip


class EcholiaError(Exception):
    """An expected failure.

    `code` is a key of `CODES`; `detail` may add names and numbers that the receiver already knows (a counter,
    a field's name, a limit), never content, keys, tokens or SQL parameters.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        if code not in CODES:
            raise ValueError(f"unknown error code {code}")
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail

    @property
    def meaning(self) -> str:
        """The sentence for people: what happened and what to do."""
        return CODES[self.code]

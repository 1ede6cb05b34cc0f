"""The reference: the same model by sentence-transformers on torch, as its makers run it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from echolia.engines import minilm
from echolia.engines.port import Model, Tokens

MODEL: Final = Model(minilm.NAME, minilm.REVISION, "sentence-transformers", minilm.IDENTITY, minilm.MARKS)


class ReferenceEngine:
    """See `port.Engine`. Raises: `model_damaged`; ImportError without the extra `reference`."""

    model = MODEL

    def __init__(self, files: Path) -> None:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # with torch: seconds

        minilm.checked(files / minilm.WEIGHTS)
        self.tokens = minilm.MiniLmTokens(files)
        self._model = SentenceTransformer(str(files), device="cpu", local_files_only=True)

    def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
        """See `Engine.embed`."""
        import torch  # noqa: PLC0415

        longest = max(map(len, windows)) + minilm.MARKS
        marked = [[minilm.BEGIN, *window, minilm.END] for window in windows]
        ids = [row + [0] * (longest - len(row)) for row in marked]
        mask = [[1] * len(row) + [0] * (longest - len(row)) for row in marked]
        features = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
        features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        with torch.inference_mode():
            vectors = self._model(features)["sentence_embedding"].numpy()
        return [array("f", row.tobytes()) for row in vectors]

"""The engine of production: all-MiniLM-L6-v2 by onnxruntime, in float32, one thread a call."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from echolia.engines import minilm
from echolia.engines.batches import padded
from echolia.engines.port import Model, Tokens

SILENT: Final = {"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1"}
MODEL: Final = Model(minilm.NAME, minilm.REVISION, "onnxruntime", minilm.IDENTITY, minilm.MARKS)


class OnnxEngine:
    """See `port.Engine`. Made of the model's files, which are checked; takes a second and 600 MiB for it,
    and keeps 150 MiB.

    Raises: `model_damaged`, ImportError where the extra `embeddings` is not installed.
    """

    model = MODEL

    def __init__(self, files: Path) -> None:
        self.tokens = minilm.MiniLmTokens(files)
        self._session = _session(minilm.checked(files / minilm.WEIGHTS))

    def embed(self, windows: Sequence[Tokens]) -> list[array[float]]:
        """See `Engine.embed`."""
        import numpy as np  # noqa: PLC0415  # of the extra, and loaded with the session

        longest = padded(max(map(len, windows)) + minilm.MARKS)
        ids = np.zeros((len(windows), longest), np.int32)
        mask = np.zeros((len(windows), longest), np.int32)
        for row, window in enumerate(windows):
            marked = (minilm.BEGIN, *window, minilm.END)
            ids[row, : len(marked)] = marked
            mask[row, : len(marked)] = 1
        (vectors,) = self._session.run(["vectors"], {"ids": ids, "mask": mask})
        return [array("f", row.tobytes()) for row in vectors]


def _session(weights: bytes) -> Any:
    # Before it is loaded: it counts what it is used for, keeps an identifier, and sends both to its makers.
    os.environ.update(SILENT)
    import onnxruntime  # noqa: PLC0415

    from echolia.engines.minilm_graph import build, read_safetensors  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    # Two calls of one thread on two cores do more than one of two; who calls brings the thread.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    graph = build(read_safetensors(weights)).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

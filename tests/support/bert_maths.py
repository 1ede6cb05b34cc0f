"""all-MiniLM-L6-v2 by its equations alone, in double precision: what every engine of it has to come to.

Written from the model's configuration and its weights; no graph, no framework and nothing fused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

Tensor: TypeAlias = "np.ndarray[Any, Any]"
LAYERS: Final = 6
HEADS: Final = 12
_EPSILON: Final = 1e-12


def vector(weights: Mapping[str, Tensor], ids: Sequence[int]) -> Tensor:
    """The vector of one window, its marks included; of length 1."""
    named = "embeddings."
    shown = weights[named + "word_embeddings.weight"][list(ids)].astype(np.float64)
    shown += weights[named + "position_embeddings.weight"][: len(ids)]
    shown += weights[named + "token_type_embeddings.weight"][0]
    shown = _normalised(weights, named + "LayerNorm", shown)
    for layer in range(LAYERS):
        shown = _layer(weights, f"encoder.layer.{layer}.", shown)
    mean = shown.mean(0)
    found: Tensor = mean / np.linalg.norm(mean)
    return found


def _layer(weights: Mapping[str, Tensor], named: str, shown: Tensor) -> Tensor:
    query, key, value = (
        _heads(_dense(weights, f"{named}attention.self.{part}", shown)) for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    seen = (scores / scores.sum(-1, keepdims=True)) @ value
    joined = seen.transpose(1, 0, 2).reshape(shown.shape)
    out = named + "attention.output."
    shown = _normalised(weights, out + "LayerNorm", shown + _dense(weights, out + "dense", joined))
    wide = _dense(weights, named + "intermediate.dense", shown)
    bent = wide * 0.5 * (1 + _erf(wide / np.sqrt(2)))
    return _normalised(
        weights, named + "output.LayerNorm", shown + _dense(weights, named + "output.dense", bent)
    )


def _heads(tensor: Tensor) -> Tensor:
    return tensor.reshape(len(tensor), HEADS, -1).transpose(1, 0, 2)


def _dense(weights: Mapping[str, Tensor], named: str, tensor: Tensor) -> Tensor:
    found: Tensor = tensor @ weights[named + ".weight"].T.astype(np.float64) + weights[named + ".bias"]
    return found


def _normalised(weights: Mapping[str, Tensor], named: str, tensor: Tensor) -> Tensor:
    centred = tensor - tensor.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + _EPSILON)
    found: Tensor = centred / spread * weights[named + ".weight"] + weights[named + ".bias"]
    return found


def _erf(x: Tensor) -> Tensor:
    """To 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    total: Tensor = np.zeros_like(x)
    for power, term in enumerate(terms, 1):
        total = total + term * t**power
    found: Tensor = np.sign(x) * (1 - total * np.exp(-(x**2)))
    return found

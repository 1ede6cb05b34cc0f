"""The graph of all-MiniLM-L6-v2, written down: BERT of six layers, pooled by the mean, made to length 1.

The package has weights and no graph. What is built here is the published architecture, in the operators that
onnxruntime has for it, so that nothing is left to an optimiser's patterns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

LAYERS: Final = 6
HEADS: Final = 12
_EPSILON: Final = 1e-12
_FUSED: Final = "com.microsoft"
_OPSETS: Final = (("", 17), (_FUSED, 1))
_IR_VERSION: Final = 8
_KINDS: Final = {"F32": "<f4", "I64": "<i8"}


def read_safetensors(raw: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors in a file of the safetensors format, by name, without a copy."""
    begins = 8 + int.from_bytes(raw[:8], "little")
    found = {}
    for name, said in json.loads(raw[8:begins]).items():
        if name == "__metadata__":
            continue
        start, stop = said["data_offsets"]
        flat = np.frombuffer(raw[begins + start : begins + stop], _KINDS[said["dtype"]])
        found[name] = flat.reshape(said["shape"])
    return found


def build(weights: Mapping[str, np.ndarray[Any, Any]]) -> ModelProto:
    """The model: `ids` and `mask` (int32, windows by tokens) to `vectors` (float32, windows by 384)."""
    return _Graph(weights).model()


class _Graph:
    """Nodes and weights as they come together; each method appends and gives the name of its output."""

    def __init__(self, weights: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._kept: list[TensorProto] = []

    def model(self) -> ModelProto:
        shown = self._embedded()
        for number in range(LAYERS):
            shown = self._layer(f"encoder.layer.{number}.", shown)
        self._pooled(shown)
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["windows", "tokens"])
            for name in ("ids", "mask")
        ]
        outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["windows", 384])]
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, outputs, self._kept)
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = _IR_VERSION
        return model

    def _embedded(self) -> str:
        named = "embeddings."
        # All tokens are of type 0, which is therefore part of their position.
        kind = self._weights[named + "token_type_embeddings.weight"][0]
        positions = self._weights[named + "position_embeddings.weight"] + kind
        inputs = [
            "ids",
            "",
            self._plain(named + "word_embeddings.weight"),
            self._keep("positions", positions),
        ]
        inputs += ["", *self._norm(named + "LayerNorm"), "mask"]
        outputs = ["embedded", "lengths"]
        self._nodes.append(
            helper.make_node("EmbedLayerNormalization", inputs, outputs, domain=_FUSED, epsilon=_EPSILON)
        )
        return outputs[0]

    def _layer(self, named: str, shown: str) -> str:
        inner = named + "attention.self."
        parts = [self._weights[f"{inner}{part}.weight"].T for part in ("query", "key", "value")]
        biases = [self._weights[f"{inner}{part}.bias"] for part in ("query", "key", "value")]
        weight = self._keep(inner + "weight", np.concatenate(parts, 1))
        bias = self._keep(inner + "bias", np.concatenate(biases))
        seen = self._fused("Attention", [shown, weight, bias, "mask"], inner + "seen", num_heads=HEADS)
        shown = self._added(named + "attention.output.", seen, shown)
        wide = self._times(named + "intermediate.dense", shown)
        bias = self._plain(named + "intermediate.dense.bias")
        bent = self._fused("BiasGelu", [wide, bias], named + "bent")
        return self._added(named + "output.", bent, shown)

    def _added(self, named: str, part: str, shown: str) -> str:
        """A dense layer's output, added to what goes around it, normalised."""
        inputs = [self._times(named + "dense", part), shown, *self._norm(named + "LayerNorm")]
        inputs.append(self._plain(named + "dense.bias"))
        return self._fused("SkipLayerNormalization", inputs, named + "shown", epsilon=_EPSILON)

    def _pooled(self, shown: str) -> None:
        """The mean over all tokens, made to length 1: the sum has the same direction."""
        self._node("Cast", ["mask"], "counted", to=TensorProto.FLOAT)
        axis = self._keep("axis", np.array([1]))
        self._node("Unsqueeze", ["counted", axis], "row")
        self._node("MatMul", ["row", shown], "summed")
        self._node("Squeeze", ["summed", axis], "sum")
        self._node("ReduceL2", ["sum"], "length", axes=[1], keepdims=1)
        self._node("Div", ["sum", "length"], "vectors")

    def _times(self, named: str, part: str) -> str:
        weight = self._keep(named + ".weight", self._weights[named + ".weight"].T)
        return self._node("MatMul", [part, weight], named + ".times")

    def _norm(self, named: str) -> list[str]:
        return [self._plain(named + ".weight"), self._plain(named + ".bias")]

    def _plain(self, name: str) -> str:
        return self._keep(name, self._weights[name])

    def _keep(self, name: str, tensor: np.ndarray[Any, Any]) -> str:
        self._kept.append(numpy_helper.from_array(np.ascontiguousarray(tensor), name))
        return name

    def _fused(self, kind: str, inputs: list[str], output: str, **facts: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], domain=_FUSED, **facts))
        return output

    def _node(self, kind: str, inputs: list[str], output: str, **facts: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **facts))
        return output

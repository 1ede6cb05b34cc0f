"""The smallest value that follows a JSON Schema, for schemas as people write them for tools and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEEPEST: Final = 16


def example(schema: Mapping[str, Any]) -> Any:
    """A value that follows `schema`: constants, enumerations, types, required properties, least lengths and
    numbers, alternatives, local references. What else a schema may say is not looked at.
    """
    return _example(schema, schema, 0)


def _example(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        return _example(_resolved(reference, root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if isinstance(options, list) and options:
            return (
                options[0]
                if key == "enum"
                else _example({**schema, key: None, **options[0]}, root, depth + 1)
            )
    return _of_type(schema, root, depth)


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match kind:
        case "object":
            known = schema.get("properties") or {}
            return {
                name: _example(known.get(name, {}), root, depth + 1) for name in schema.get("required") or ()
            }
        case "array":
            return [_example(schema.get("items"), root, depth + 1)] * min(
                int(schema.get("minItems") or 0), 100
            )
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
        case "string" | None if kind or not schema.get("properties"):
            return "echo".ljust(min(int(schema.get("minLength") or 0), 1000), "o")[: schema.get("maxLength")]
        case _:
            return _of_type({**schema, "type": "object"}, root, depth)


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found

"""What travels in JSON, in the form that all features share: bytes are base64url, unknown members refused."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64


class Wire(BaseModel):
    """What travels: no member but those declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _read(text: object, length: int | None, most: int) -> bytes:
    if isinstance(text, bytes):  # our own: JSON has none
        return text
    try:
        raw = unb64(text if isinstance(text, str) else "=", length)
    except EcholiaError:
        raise PydanticCustomError("base64url", "not base64url of the right length") from None
    if len(raw) > most:
        raise PydanticCustomError("too_long", "too many bytes")
    return raw


def base64url(length: int | None = None, most: int = 64) -> tuple[Any, ...]:
    """What annotates bytes of this length, or of so many at most."""
    schema = {"type": "string", "format": "base64url", "maxLength": -(-(length or most) * 4 // 3)}
    return (
        BeforeValidator(partial(_read, length=length, most=most)),
        PlainSerializer(b64, return_type=str),
        WithJsonSchema(schema),
    )


Id = Annotated[bytes, *base64url(16)]
Hash = Annotated[bytes, *base64url(32)]
Signature = Annotated[bytes, *base64url(64)]

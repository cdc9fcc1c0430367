"""How a body is read: once, strictly, and into the struct that a handler names.

Litestar by itself takes "5" and 5.0 for 5, and 1 and "yes" for true. Here msgspec reads the bytes
as they came, so a type that does not fit is refused wherever a struct says it, and nobody has to
remember to look. What the struct says of a field's range or characters is checked in the same
pass. A shape that is wrong is `malformed`; a value that is of the right type and not allowed is
`invalid`, as protocol.md has it.
"""

import re
import typing
from typing import Any

import msgspec
from litestar.dto import AbstractDTO

from rules.refusals import RefusalCode
from server.api.errors import ApiCode, ApiError

_FIELD = re.compile(r" - at `\$\.(\w+)|field `([^`]{1,64})`")
_NOT_ALLOWED = re.compile(r"Expected `\w+` (of length|matching|[<>]=?|that's a multiple)")
"""msgspec's words when the type is right and the value is not."""

SENTENCE_CHARACTERS_MAX = 200


class StrictBody(AbstractDTO[Any]):
    """Stands in the place where Litestar asks a DTO to decode; it has no model of its own."""

    @classmethod
    def create_for_field_definition(cls, *given: Any, **named: Any) -> None:
        """Nothing to prepare: the handler's own annotation is the model."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: Any, handler_id: str, schema_creator: Any
    ) -> Any:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        """There is no model, so there are none of its fields."""
        return iter(())

    @classmethod
    def detect_nested_field(cls, field_definition: Any) -> bool:
        return False

    def decode_bytes(self, value: bytes) -> Any:
        return read_body(value, self.asgi_connection.route_handler.parsed_data_field.annotation)


def read_body(content: bytes, kind: Any) -> Any:
    """The content as a `kind`. Raises ApiError `malformed`, `invalid`, each naming the field."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        sentence = f"The body cannot be read as JSON: {error}"[:SENTENCE_CHARACTERS_MAX]
        raise ApiError(ApiCode.MALFORMED, sentence) from None


def _refused(wrong: str, kind: Any) -> ApiError:
    named = _FIELD.search(wrong)
    field = (named[1] or named[2]) if named else "body"
    what = wrong.partition(" - at ")[0][:SENTENCE_CHARACTERS_MAX]
    if not _NOT_ALLOWED.match(wrong):
        return ApiError(ApiCode.MALFORMED, f"`{field}`: {what}", {"field": field})
    told = _description(kind, field)
    sentence = f"`{field}` must be {told}" if told else f"`{field}`: {what}"
    return ApiError(RefusalCode.INVALID, sentence, {"field": field})


def _description(kind: Any, field: str) -> str | None:
    """What the struct says that the field must be."""
    for struct in (kind, *typing.get_args(kind)):
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            hints = typing.get_type_hints(struct, include_extras=True)
            return _told(hints.get(field))
    return None


def _told(hint: Any) -> str | None:
    """The description of an annotated type, or of one inside it (`… | None`, `list[…]`)."""
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return next(filter(None, map(_told, typing.get_args(hint))), None)

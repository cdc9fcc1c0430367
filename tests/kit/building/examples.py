"""An example of any message, command or outcome, made from its type with every optional part.

So a test can say something of all of them, also of those that will be added.
"""

from typing import Any

import msgspec
from msgspec import inspect


def example(kind: type) -> Any:
    """One of its kind, whose texts are all `abc` and whose numbers are all 1."""
    return msgspec.convert(written(inspect.type_info(kind), "abc"), kind)


def written(kind: inspect.Type, text: str) -> Any:
    """The same as JSON would have it."""
    match kind:
        case inspect.StructType():
            fields = {field.encode_name: written(field.type, text) for field in kind.fields}
            if kind.array_like:
                return list(fields.values())
            return ({kind.tag_field: kind.tag} if kind.tag_field else {}) | fields
        case inspect.UnionType():
            known, *_ = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            return written(known, text)
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.ListType() | inspect.VarTupleType():
            return [written(kind.item_type, text)]
        case inspect.TupleType():
            return [written(one, text) for one in kind.item_types]
        case inspect.DictType():
            return {written(kind.key_type, text): written(kind.value_type, text)}
        case inspect.StrType():
            return text
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 1
    raise AssertionError(f"say here what {kind} may hold")

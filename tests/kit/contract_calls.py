"""Which methods of the stores' contracts the contract suite calls, and in how many tests.

Found in the suite's text and by types: a call counts when what it is called on is a parameter
annotated with the contract, a name that was made from one, or one of the store's own parts
(`store.money`, `store.deliveries_under(…)`). So a method of another thing with the same name does
not count. `PYTHONPATH=tests python -m kit.contract_calls` prints the table.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from storage.deliveries import Deliveries
from storage.leases import Leases
from storage.money import MoneyReads
from storage.store import Store

SUITE = Path(__file__).parent.parent / "contracts"
CONTRACTS = {kind.__name__: kind for kind in (Store, MoneyReads, Deliveries, Leases)}
PARTS = {
    "money": "MoneyReads",
    "deliveries": "Deliveries",
    "leases": "Leases",
    "deliveries_under": "Deliveries",
}

Method = tuple[str, str]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def methods() -> list[Method]:
    """Every method and part of the contracts."""
    return [
        (name, member)
        for name, kind in CONTRACTS.items()
        for member in vars(kind)
        if not member.startswith("_")
    ]


def calls() -> Counter[Method]:
    """In how many functions of the suite each method is called, or each part used."""
    found: Counter[Method] = Counter()
    for path in sorted(SUITE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, Function):
                found.update(set(_called(node)))
    return found


def _called(function: Function) -> Iterator[Method]:
    known = {
        argument.arg: ast.unparse(argument.annotation)
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.annotation and ast.unparse(argument.annotation) in CONTRACTS
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and (kind := _kind(node.value, known)):
            known |= {target.id: kind for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            yield from _method(node.value.func, known)
        if isinstance(node, ast.Attribute) and node.attr in PARTS:
            yield from _method(node, known)


def _method(node: ast.expr, known: dict[str, str]) -> Iterator[Method]:
    if isinstance(node, ast.Attribute) and (kind := _kind(node.value, known)):
        yield kind, node.attr


def _kind(node: ast.expr, known: dict[str, str]) -> str | None:
    """Which contract the expression is of."""
    match node:
        case ast.Name(id=name):
            return known.get(name)
        case ast.Attribute(value=owner, attr=part) if part in PARTS:
            return PARTS[part] if _kind(owner, known) == "Store" else None
        case ast.Await(value=ast.Call(func=ast.Name(id="open_store"))):
            return "Store"
        case ast.Call(func=ast.Attribute() as made):
            return _kind(made, known)
    return None


def table(adapters: list[str]) -> Iterator[str]:
    """Every test is run with every adapter, so the columns of a row are the same number."""
    width = max(len(f"{contract}.{method}") for contract, method in methods())
    yield f"{'method':{width}}  {'  '.join(adapters)}"
    found = calls()
    for contract, method in methods():
        counts = "  ".join(f"{found[contract, method]:{len(name)}}" for name in adapters)
        yield f"{f'{contract}.{method}':{width}}  {counts}"


def _adapters() -> list[str]:
    """The keys of ADAPTERS, read and not imported: a conftest belongs to pytest."""
    tree = ast.parse((SUITE / "conftest.py").read_text("utf-8"))
    [made] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ADAPTERS"
    ]
    return list(ast.literal_eval(made)) if made else []


if __name__ == "__main__":
    print(*table(_adapters()), sep="\n")  # noqa: T201

"""The verbs about money: purchase, payout, and what people settle by hand: suspense, correction.

A correction takes two persons, each with an admin's token of their own; the API key is no person.
With a token the books also keep the name of who settled an entry of the suspense list.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from server.cli.asking import (
    COINS_MAX,
    CSV,
    JSON,
    Asking,
    AskingByEither,
    Force,
    Limit,
    Once,
    OnceByAdmin,
    OnceByEither,
    Reason,
    Remote,
    WhatIsLeft,
    at,
    change,
    fetch,
    get,
    listed,
    post_file,
    read_file,
    stranger,
    tell,
    tell_list,
    tell_rows,
    write_file,
)
from server.cli.output import NO, print_json, say
from server.cli.wording import count, money

FILE_TYPES = {"csv": CSV, "json": JSON}
RESULTS_BYTES_MAX = 4 * 1024 * 1024  # the API's own limit


def _group(name: str, text: str) -> typer.Typer:
    return typer.Typer(name=name, help=text, no_args_is_help=True, add_completion=False)


purchase = _group("purchase", "Show purchases, refund them, book chargebacks.")
payout = _group("payout", "Review payouts, and exchange files with the bank.")
suspense = _group("suspense", "What the books could not place, for a person to settle.")
correction = _group("correction", "Change a balance by hand: one admin proposes, another approves.")

PurchaseId = Annotated[str, typer.Argument(metavar="PURCHASE", help="Id of the purchase.")]
PayoutId = Annotated[str, typer.Argument(metavar="PAYOUT", help="Id of the payout.")]
CorrectionId = Annotated[
    int, typer.Argument(metavar="CORRECTION", min=1, help="Number of the correction.")
]
PayoutStatus = Literal["requested", "approved", "paid", "rejected"]
Format = Annotated[
    Literal["csv", "json"] | None,
    typer.Option(help="By default as the name of FILE says; csv if it does not."),
]
OfUser = Annotated[str | None, typer.Option("--user", help="Only this user's.")]


# --- purchases ----------------------------------------------------------------------------------


@purchase.command("show", cls=Asking)
def purchase_show(ctx: typer.Context, name: PurchaseId) -> None:
    """Show one purchase.

    Example: largesse purchase show pur_0f3a
    """
    remote: Remote = ctx.obj
    tell(remote, get(remote, at("purchases", name)))


@purchase.command("list", cls=Asking)
def purchase_list(
    ctx: typer.Context,
    user: OfUser = None,
    status: Annotated[
        Literal["pending", "paid", "failed", "refunded", "charged_back"] | None,
        typer.Option(help="Only these."),
    ] = None,
    limit: Limit = 50,
) -> None:
    """List purchases, newest first.

    Example: largesse purchase list --user ada --status paid
    """
    remote: Remote = ctx.obj
    found = listed(remote, at("purchases"), limit, user=user, status=status)
    columns = ("purchase", "user", "status", "coins", "price", "refunded", "started")
    tell_list(remote, found, columns, limit)


@purchase.command("refund", cls=Once)
def purchase_refund(
    ctx: typer.Context,
    name: PurchaseId,
    reason: Reason,
    coins: Annotated[
        int | None,
        typer.Option(min=1, max=COINS_MAX, help="How many; all that are unspent if left out."),
    ] = None,
) -> None:
    """Give money back for a purchase; refunded coins that were spent already are owed by the user.

    Example: largesse purchase refund pur_0f3a --coins 200 --reason "bought by mistake"
    """
    remote: Remote = ctx.obj
    body: dict[str, object] = {"reason": reason}
    if coins is not None:
        body["coins"] = coins
    answer = change(remote, "POST", at("purchases", name, "refund"), body)
    back = money(answer.get("amount_minor"), answer.get("currency"))
    tell(remote, answer, f"Refunded {count(answer.get('coins'), 'coin')}, {back}.{_owed(answer)}")


@purchase.command("chargeback", cls=Once)
def purchase_chargeback(ctx: typer.Context, name: PurchaseId, reason: Reason) -> None:
    """Book that the payer's bank took the money back, when the provider did not say so itself.

    Example: largesse purchase chargeback pur_0f3a --reason "letter of the bank, 3 June"
    """
    remote: Remote = ctx.obj
    answer = change(remote, "POST", at("purchases", name, "chargeback"), {"reason": reason})
    if "entry" in answer:
        why = f"{name} was refunded before, so nothing was taken"
        tell(remote, answer, f"{why}; entry {answer['entry']} of the suspense list says so.")
        return
    lost = money(answer.get("amount_minor"), answer.get("currency"))
    tell(remote, answer, f"{name} was charged back: {lost} are gone.{_owed(answer)}")


def _owed(answer: dict[str, Any]) -> str:
    """What the user owes now, and how many creators lost diamonds."""
    debt, taken = answer.get("debt_coins"), answer.get("taken")
    owed = f" {count(debt, 'coin')} of that had been spent; the user owes them." if debt else ""
    lost = f" {count(len(taken), 'creator')} lost diamonds; --json says who." if taken else ""
    return owed + lost


# --- payouts ------------------------------------------------------------------------------------


@payout.command("list", cls=Asking)
def payout_list(
    ctx: typer.Context,
    creator: Annotated[str | None, typer.Option(help="Only this creator's.")] = None,
    status: Annotated[
        PayoutStatus | None, typer.Option(help="Only these; requested ones wait for a review.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List payouts, newest first.

    Example: largesse payout list --status requested
    """
    remote: Remote = ctx.obj
    found = listed(remote, at("payouts"), limit, creator=creator, status=status)
    columns = ("payout", "creator", "status", "amount", "flags", "requested")
    tell_list(remote, found, columns, limit)


@payout.command("show", cls=Asking)
def payout_show(ctx: typer.Context, name: PayoutId) -> None:
    """Show one payout, with what a reviewer should look at.

    Example: largesse payout show payout-17
    """
    remote: Remote = ctx.obj
    tell(remote, get(remote, at("payouts", name)))


@payout.command("approve", cls=Once)
def payout_approve(ctx: typer.Context, name: PayoutId) -> None:
    """Say that a payout was reviewed and the bank may pay it.

    Example: largesse payout approve payout-17
    """
    remote: Remote = ctx.obj
    _decide(remote, name, "approve", None)


@payout.command("paid", cls=Once)
def payout_paid(
    ctx: typer.Context,
    name: PayoutId,
    reference: Annotated[str | None, typer.Option(help="The bank's name for the payment.")] = None,
) -> None:
    """Say that the bank has paid an approved payout.

    Example: largesse payout paid payout-17 --reference SEPA-2025-0601
    """
    remote: Remote = ctx.obj
    _decide(remote, name, "paid", None if reference is None else {"reference": reference})


@payout.command("reject", cls=Once)
def payout_reject(ctx: typer.Context, name: PayoutId, reason: Reason) -> None:
    """Say that a payout will not be paid; its diamonds go back to the creator.

    Example: largesse payout reject payout-17 --reason "account under investigation"
    """
    remote: Remote = ctx.obj
    _decide(remote, name, "reject", {"reason": reason})


def _decide(remote: Remote, name: str, verb: str, body: dict[str, object] | None) -> None:
    answer = change(remote, "POST", at("payouts", name, verb), body)
    amount = money(answer.get("amount_minor"), answer.get("currency"))
    tell(remote, answer, f"{name} to {answer.get('creator')}: {amount}, {answer.get('status')}.")


@payout.command("export", cls=Asking)
def payout_export(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - to print it.")],
    format: Format = None,
    status: Annotated[PayoutStatus, typer.Option(help="Which ones.")] = "approved",
    force: Force = False,
) -> None:
    """Write the approved payouts into a file for the bank.

    Example: largesse payout export /tmp/payouts-2025-06-01.csv
    """
    remote: Remote = ctx.obj
    format = format or _format(target)
    content = fetch(
        remote, at("payouts", "export"), FILE_TYPES[format], format=format, status=status
    )
    write_file(target, content, replace=force)
    if str(target) != "-":
        tell(remote, {"file": str(target)}, f"The {status} payouts were written to {target}.")


@payout.command("import", cls=WhatIsLeft)
def payout_import(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The bank's answer, or -.")],
    format: Format = None,
) -> None:
    """Take the bank's answer: which payouts were paid, and which failed.

    A CSV file has the columns payout, result (paid or failed) and reference. What contradicts the
    books moves nothing and is listed by `largesse suspense list`; then the exit code is 1. The same
    file again changes nothing.

    Example: largesse payout import /tmp/results-2025-06-02.csv
    """
    remote: Remote = ctx.obj
    file_type = FILE_TYPES[format or _format(source)]
    content = read_file(source, RESULTS_BYTES_MAX)
    answer = post_file(remote, at("payouts", "results"), content, file_type)
    trouble = [answer.get("suspended"), answer.get("refused")]
    if not all(isinstance(lines, list) for lines in trouble):
        stranger(remote)
    if remote.json:
        print_json(answer)
    else:
        _tell_results(answer)
    if any(trouble):
        raise typer.Exit(NO)


def _tell_results(answer: dict[str, Any]) -> None:
    suspended, refused = answer["suspended"], answer["refused"]
    say(
        f"{answer.get('resolved')} resolved, {answer.get('repeated')} repeated, "
        f"{len(suspended)} suspended, {len(refused)} refused."
    )
    if suspended:
        tell_rows(suspended, ("line", "payout", "why", "entry"))
    if refused:
        tell_rows(refused, ("line", "payout", "code", "message"))


def _format(file: Path) -> Literal["csv", "json"]:
    return "json" if file.suffix.lower() == ".json" else "csv"


# --- suspense and corrections: what people decide by hand ---------------------------------------


@suspense.command("list", cls=AskingByEither)
def suspense_list(
    ctx: typer.Context,
    settled: Annotated[bool | None, typer.Option("--settled/--open", help="Only these.")] = None,
    limit: Limit = 50,
) -> None:
    """List what the books could not place, newest first.

    Example: largesse suspense list --open
    """
    remote: Remote = ctx.obj
    wanted = None if settled is None else str(settled).lower()
    found = listed(remote, at("suspense"), limit, settled=wanted)
    tell_list(remote, found, ("entry", "at", "subject", "why", "note", "settled_by"), limit)


@suspense.command("settle", cls=OnceByEither)
def suspense_settle(
    ctx: typer.Context,
    entry: Annotated[int, typer.Argument(metavar="ENTRY", min=1, help="Number of the entry.")],
    note: Annotated[str, typer.Option(help="What came of it; kept in the books.")],
) -> None:
    """Say that somebody has looked at an entry, and what came of it.

    Example: largesse suspense settle 12 --note "paid twice, refunded by hand"
    """
    remote: Remote = ctx.obj
    answer = change(remote, "POST", at("suspense", entry, "settle"), {"note": note})
    tell(remote, answer, f"Entry {entry} is settled.")


@correction.command("propose", cls=OnceByAdmin)
def correction_propose(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help="User id.")],
    account: Annotated[
        Literal["coins", "coin_debt", "diamonds_available", "diamond_debt"],
        typer.Option(help="Which balance; debts are below zero."),
    ],
    amount: Annotated[
        int,
        typer.Option(
            min=-COINS_MAX, max=COINS_MAX, help="What it changes by: coins or millidiamonds."
        ),
    ],
    reason: Reason,
) -> None:
    """Propose to change a balance by hand. Nothing moves until another admin approves.

    Example: largesse correction propose ada --account coins --amount -50 --reason "case 4711"
    --token-file ~/admin.token
    """
    remote: Remote = ctx.obj
    body = {"user": user, "account": account, "amount": amount, "reason": reason}
    answer = change(remote, "POST", at("corrections"), body)
    number = answer.get("correction")
    tell(remote, answer, f"Correction {number} waits for another admin to approve it.")


@correction.command("approve", cls=OnceByAdmin)
def correction_approve(ctx: typer.Context, number: CorrectionId) -> None:
    """Approve what another admin proposed: the balance changes now.

    Example: largesse correction approve 31 --token-file ~/admin.token
    """
    remote: Remote = ctx.obj
    answer = change(remote, "POST", at("corrections", number, "approve"))
    changed = f"{answer.get('account')} of {answer.get('user')} by {answer.get('amount')}"
    tell(remote, answer, f"Correction {number} changed {changed}.")


@correction.command("reject", cls=OnceByAdmin)
def correction_reject(ctx: typer.Context, number: CorrectionId) -> None:
    """Reject a proposed correction; nothing moves.

    Example: largesse correction reject 31 --token-file ~/admin.token
    """
    remote: Remote = ctx.obj
    answer = change(remote, "POST", at("corrections", number, "reject"))
    tell(remote, answer, f"Correction {number} was rejected.")


@correction.command("list", cls=AskingByEither)
def correction_list(
    ctx: typer.Context,
    status: Annotated[
        Literal["proposed", "approved", "rejected"] | None, typer.Option(help="Only these.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List corrections, newest first.

    Example: largesse correction list --status proposed
    """
    remote: Remote = ctx.obj
    found = listed(remote, at("corrections"), limit, status=status)
    columns = ("correction", "user", "account", "amount", "status", "proposed_by", "decided_by")
    tell_list(remote, found, (*columns, "reason"), limit)

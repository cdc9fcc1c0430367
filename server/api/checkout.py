"""The pages where payers are: the sandbox in a provider's place, and where one sends them to."""

from typing import Any

import orjson
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

from rules.refusals import RefusalCode
from rules.rows import Purchase
from server.api.access import anybody
from server.api.context import Context
from server.api.errors import ApiCode, ApiError
from server.api.lookup import find_purchase
from server.api.notifications import notify
from server.api.pages import HEADERS
from server.api.request import InContext
from server.payments import Declined, Paid, Sandbox
from web.checkout import checkout_page, price_text


@get("/checkout/sandbox/{purchase:str}", include_in_schema=False, guards=[anybody])
async def sandbox_page(context: InContext, purchase: FromPath[str]) -> Response[str]:
    _sandbox(context)
    return _page(await find_purchase(context, purchase), sandbox=True)


@post("/checkout/sandbox/{purchase:str}", include_in_schema=False, guards=[anybody])
async def answer_sandbox(
    context: InContext, request: Request[Any, Any, Any], purchase: FromPath[str]
) -> Redirect:
    """Pay or decline, as a buyer at a real provider would: the answer comes as a notification."""
    sandbox = _sandbox(context)
    row = await find_purchase(context, purchase)
    answer = await _answer(request)
    if answer not in ("pay", "decline"):
        raise ApiError(RefusalCode.INVALID, "`answer` must be pay or decline.", {"field": "answer"})
    if row.status == "pending":
        said: Paid | Declined = Declined(purchase=row.id, reason="declined in the sandbox")
        if answer == "pay":
            said = Paid(
                purchase=row.id,
                payment=f"sandbox-{row.id}",
                amount_minor=row.price_minor,
                currency=row.currency,
            )
        await notify(context, *sandbox.notify(said, context.clock()))
    return Redirect(f"/checkout/sandbox/{row.id}", status_code=303)


async def _answer(request: Request[Any, Any, Any]) -> Any:
    """What a form or some JSON says for `answer`. Raises ApiError `malformed`."""
    if request.content_type[0] != "application/json":
        return (await request.form()).get("answer")
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise ApiError(ApiCode.MALFORMED, "The body is not JSON.") from error
    return body.get("answer") if isinstance(body, dict) else None


@get("/checkout/{end:str}/{purchase:str}", include_in_schema=False, guards=[anybody])
async def end_page(
    context: InContext, end: FromPath[str], purchase: FromPath[str]
) -> Response[str]:
    """Where a provider sends the buyer back to."""
    if end not in ("paid", "cancelled"):
        raise NotFoundException("There is no such page.")
    row = await find_purchase(context, purchase)
    return _page(row, sandbox=False, waiting="confirming" if end == "paid" else "failed")


def _page(row: Purchase, *, sandbox: bool, waiting: str = "pending") -> Response[str]:
    html = checkout_page(
        purchase=row.id,
        coins=row.coins,
        price=price_text(row.price_minor, row.currency),
        status=waiting if row.status == "pending" else row.status,
        sandbox=sandbox,
    )
    return Response(html, media_type="text/html", headers=HEADERS)


def _sandbox(context: Context) -> Sandbox:
    if not isinstance(context.provider, Sandbox):
        raise NotFoundException("Payments here are real; there is no sandbox.")
    return context.provider


CHECKOUT_PAGES = (sandbox_page, answer_sandbox, end_page)

"""What Stripe's API does with the few calls we make, on a port of this machine.

It remembers every request, answers from its own small memory, keeps Stripe's promise about
idempotency keys, and can be told to answer the next requests in some other way.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, with its form as Stripe would see it."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` may be anything that is JSON, or bytes that are not."""

    status: int
    body: Any
    pause_s: float = 0.0
    drop_s: float = 0.0
    """The pause after each byte."""


def refusal(status: int, message: str, **fields: str) -> Answer:
    return Answer(status, {"error": {"type": "invalid_request_error", "message": message} | fields})


@dataclass(slots=True)
class StripeStandIn:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    next: list[Answer] = field(default_factory=list)
    """Answers to the next requests, in the place of the usual ones."""
    lost: int = 0
    """How many answers to a POST are lost on the way, after it had its effect."""
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    refund_status: str = "succeeded"
    _remembered: dict[str, tuple[Asked, Answer]] = field(default_factory=dict)
    _numbers: Counter[str] = field(default_factory=Counter)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def posts(self, path: str) -> list[Asked]:
        return [each for each in self.asked if (each.method, each.path) == ("POST", path)]

    def forget_keys(self) -> None:
        """A day or more goes by."""
        self._remembered.clear()

    # The API

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != "Bearer sk_test_right":
            return refusal(401, "Invalid API Key provided: sk_test_****")
        if not asked.key:
            return self._carry_out(asked)
        if asked.key not in self._remembered:
            self._remembered[asked.key] = asked, self._carry_out(asked)
        first, answer = self._remembered[asked.key]
        if (first.path, first.form) != (asked.path, asked.form):
            return refusal(400, "Keys can only be used again as before", type="idempotency_error")
        return answer

    def _carry_out(self, asked: Asked) -> Answer:
        match asked.method, asked.path.removeprefix("/v1/").split("/"):
            case "POST", ["checkout", "sessions"]:
                return self._create_session(asked.form)
            case "GET", ["checkout", "sessions", id]:
                if id in self.sessions:
                    return Answer(200, self.sessions[id])
                return refusal(404, f"No such checkout.session: '{id}'", code="resource_missing")
            case "GET", ["refunds"]:
                wanted = asked.form["payment_intent"]
                found = [each for each in self.refunds if each["payment_intent"] == wanted]
                return Answer(200, {"object": "list", "data": found, "has_more": False})
            case "POST", ["refunds"]:
                return self._create_refund(asked.form)
        return refusal(404, "Unrecognized request URL")

    def _id(self, prefix: str) -> str:
        self._numbers[prefix] += 1
        return f"{prefix}_test_{self._numbers[prefix]}"

    def _create_session(self, form: dict[str, str]) -> Answer:
        id = self._id("cs")
        self.sessions[id] = {
            "id": id,
            "object": "checkout.session",
            "mode": form["mode"],
            "status": "open",
            "payment_status": "unpaid",
            "client_reference_id": form["client_reference_id"],
            "metadata": {
                key.removeprefix("metadata[").removesuffix("]"): value
                for key, value in form.items()
                if key.startswith("metadata[")
            },
            "payment_intent": None,
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "currency": form["line_items[0][price_data][currency]"],
            "url": f"https://checkout.stripe.com/c/pay/{id}",
        }
        return Answer(200, self.sessions[id])

    def _create_refund(self, form: dict[str, str]) -> Answer:
        refund = {
            "id": self._id("re"),
            "object": "refund",
            "amount": int(form["amount"]),
            "payment_intent": form["payment_intent"],
            "metadata": {"refund": form["metadata[refund]"]},
            "status": self.refund_status,
        }
        self.refunds.append(refund)
        return Answer(200, refund)

    # HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.closing(writer), contextlib.suppress(*GONE):
            while True:
                asked = await _read_request(reader)
                self.asked.append(asked)
                answer = self.next.pop(0) if self.next else self.answer(asked)
                if self.lost and asked.method == "POST":
                    self.lost -= 1
                    break
                await _write_answer(writer, answer)

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    address = urlsplit(target)
    assert all(len(values) == 1 for values in parse_qs(body).values()), "a field was sent twice"
    return Asked(method, address.path, headers, dict(parse_qsl(body or address.query)))


async def _write_answer(writer: asyncio.StreamWriter, answer: Answer) -> None:
    await asyncio.sleep(answer.pause_s)
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    head = f"HTTP/1.1 {answer.status} -\r\nContent-Length: {len(body)}\r\nRequest-Id: req_1\r\n\r\n"
    writer.write(head.encode())
    for piece in [body] if not answer.drop_s else [body[i : i + 1] for i in range(len(body))]:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(answer.drop_s)


@contextlib.asynccontextmanager
async def stripe_stand_in() -> AsyncIterator[StripeStandIn]:
    stand_in = StripeStandIn()
    server = await asyncio.start_server(stand_in._serve, "127.0.0.1", 0)
    stand_in.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield stand_in
        await stand_in.close()

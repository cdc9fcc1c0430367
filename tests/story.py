"""The whole life of the money as a story: a real server is asked, and its answers are written down.

`make story` writes docs/story.md anew; tests/test_story.py runs it and compares. Ids and times
differ from run to run, so they are written as names.
"""

import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import httpx
import websockets

import storage
from kit.servers.serving import BACKEND, Client, ServerProcess, token
from kit.waiting import PATIENCE_S

PAGE = Path(__file__).parent.parent / "docs" / "story.md"
PEOPLE = ("ann", "cleo", "dora")
START = """# A story, executed

The whole life of the money, told by a running server: `make story` starts one, asks it over HTTP
and WebSocket and writes this page; a test runs it again with every change and compares. Nothing
here was typed by hand. Ids and times, which differ from run to run, are written as names. After
every step the books are audited.

Ann watches; Cleo cooks in the room `kitchen`, Dora plants in the room `garden`. A coin is a cent,
and a creator earns half a diamond, 500 millidiamonds, for each. The operator's settings:
`--payout-minimum-millidiamonds 100000`, and `--hold-days 7` at first.
"""


class Story:
    """One telling. `text` grows with every step."""

    def __init__(self, folder: Path) -> None:
        self.text = START
        self._flags = {"payout-minimum-millidiamonds": 100_000}
        self.server = ServerProcess(folder, **self._flags, **{"hold-days": 7})
        self.http = httpx.AsyncClient(base_url=self.server.url, timeout=PATIENCE_S)
        self.purchase = ""
        self._names: dict[str, str] = {}

    def say(self, text: str) -> None:
        self.text += f"\n{text}\n"

    def name(self, id: str, name: str) -> None:
        self._names[id] = name

    def show(self, *lines: str) -> None:
        shown = "\n".join(lines)
        for id, name in self._names.items():
            shown = shown.replace(id, name)
        shown = re.sub(r"\b1[0-9]{12}\b", "TIME", shown)
        shown = re.sub(r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z|\b)", "DATE", shown)
        shown = shown.replace(self.server.url, "http://127.0.0.1:8080")
        self.text += f"\n```\n{shown}\n```\n"

    async def ask(
        self, method: str, path: str, body: Any = None, *, user: str = "", **headers: str
    ) -> Any:
        """Ask as the backend, or as a user, and write the question down."""
        who = {"Authorization": f"Bearer {token(user)}"} if user else BACKEND
        answer = await self.http.request(method, path, json=body, headers=who | headers)
        assert answer.status_code < 500, answer.text
        return answer.json()

    async def told(self, method: str, path: str, body: Any = None, *, user: str = "") -> Any:
        answer = await self.ask(method, path, body, user=user)
        asked = f"{method} {path}" + (f" {_flat(body)}" if body is not None else "")
        self.show(f"{user or 'backend'}> {asked}", _flat(answer))
        return answer

    async def give(self, room: str, gift: str, key: str) -> None:
        """Ann's gift over a WebSocket of its own."""
        url = self.server.url.replace("http", "ws") + "/v1/ws"
        headers = {"Authorization": f"Bearer {token('ann')}"}
        async with websockets.connect(url, additional_headers=headers) as socket:
            client = Client(socket)
            await client.ask("joined", type="join", room=room)
            answer = await client.gift(key, room=room, gift=gift)
        wanted = {"type": "gift", "key": key, "room": room, "gift": gift}
        self.show(f"ann> {_flat(wanted)}", _flat(answer))

    async def balances(self) -> None:
        """Everybody's accounts and every board, line by line; then the audit."""
        lines = []
        for person in PEOPLE:
            wallet = await self.ask("GET", f"/v1/users/{person}/wallet")
            parts = (
                ("coins", wallet["coins"]),
                ("owed", wallet["coin_debt"]),
                ("pending", wallet["millidiamonds_pending"]),
                ("available", wallet["millidiamonds_available"]),
                ("reserved", wallet["millidiamonds_reserved"]),
            )
            lines.append(f"{person:<6}" + "".join(f"{name} {amount:<9,}" for name, amount in parts))
        for path in ("rooms/kitchen", "rooms/garden", "creators/cleo", "creators/dora"):
            window = "session" if path.startswith("rooms") else "all"
            board = await self.ask("GET", f"/v1/{path}/board?window={window}")
            places = [f"{p['rank']}. {p['user']['id']} {p['coins']}" for p in board["top"]]
            lines.append(f"board of {path}: {', '.join(places) or 'nobody'}")
        audit = storage.open_books(self.server.database).audit()
        wrong = [check.detail for check in audit.checks if not check.ok]
        assert audit.ok, wrong
        lines.append("largesse audit: all checks are right")
        self.show(*(line.rstrip() for line in lines))

    async def statement(self, person: str) -> None:
        page = await self.ask("GET", f"/v1/users/{person}/statement?limit=200")
        lines = []
        for item in reversed(page["items"]):
            what = item.get("gift_id") or item.get("payout") or item.get("purchase") or ""
            lines.append(
                f"{item['account']:<20} {item['amount']:>10,} -> {item['balance_after']:>9,}  "
                f"{item['reason']:<16} {what}".rstrip()
            )
        self.show(f"{person}'s statement, oldest first", *lines)

    def restart(self, **flags: Any) -> None:
        """The operator changes a setting and restarts."""
        self.server.stop()
        self.server.set_flags(**self._flags, **flags)
        self.server.start()


def _flat(value: Any) -> str:
    """JSON as a person writes it: one line, without noise."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flat(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


async def tell(folder: Path) -> str:
    """Run the story from its beginning; the page."""
    story = Story(folder)
    story.server.start()
    try:
        async with story.http:
            await _buy(story)
            await _spend(story)
            await _earn(story)
            await _give_back(story)
            await _look_back(story)
    finally:
        story.server.stop()
    return story.text


async def _buy(story: Story) -> None:
    for room, creator in (("kitchen", "cleo"), ("garden", "dora")):
        body = {"id": room, "title": f"The {room}", "creator": creator}
        await story.ask("POST", "/v1/rooms", body)
    story.say("## Ann buys 1,000 coins")
    answer = await story.ask("POST", "/v1/purchases", {"bundle": "coins-1000"}, user="ann")
    story.purchase = answer["purchase"]
    story.name(answer["purchase"], "PURCHASE")
    story.show("ann> POST /v1/purchases {bundle: coins-1000}", _flat(answer))
    story.say("She pays on the page behind `checkout_url`, and the sandbox tells the server.")
    paid = await story.http.post(answer["checkout_url"], data={"answer": "pay"})
    assert paid.status_code == 303
    await story.told("GET", f"/v1/purchases/{answer['purchase']}", user="ann")
    await story.balances()


async def _spend(story: Story) -> None:
    story.say("## She sets herself a limit and gives 700 coins in two rooms")
    await story.told("PUT", "/v1/users/ann/limits", {"daily_coins": 700}, user="ann")
    await story.give("kitchen", "carousel", "k1")
    await story.give("garden", "orchard", "k2")
    await story.give("garden", "clap", "k3")
    story.say(
        "One coin more is too many: the answer says which limit, what is left, when it frees."
    )
    await story.give("garden", "spark", "k4")
    await story.balances()


async def _earn(story: Story) -> None:
    story.say(
        "## What the creators earned becomes available\n\n"
        "Seven days are long for a story: the operator restarts the server with `--hold-days 0`,\n"
        "and it releases what is pending within a second."
    )
    await asyncio.to_thread(story.restart, **{"hold-days": 0})
    await _until(story, "cleo", "millidiamonds_pending", 0)
    await _until(story, "dora", "millidiamonds_pending", 0)
    await story.balances()
    story.say("## Cleo is paid\n\nAsking reserves the diamonds. A person reviews the first payout.")
    answer = await story.ask("POST", "/v1/payouts", {"millidiamonds": 249_000}, user="cleo")
    payout = answer["payout"]
    story.name(payout, "PAYOUT")
    story.show("cleo> POST /v1/payouts {millidiamonds: 249000}", _flat(answer))
    await story.balances()
    await story.told("POST", f"/v1/payouts/{payout}/approve", {})
    story.say("The bank's file, and its answer; the same answer again changes nothing.")
    export = await story.http.get("/v1/payouts/export?format=csv", headers=BACKEND)
    story.show("backend> GET /v1/payouts/export?format=csv", export.text.strip())
    results = {"results": [{"payout": payout, "paid": True, "reference": "bank-7"}]}
    await story.told("POST", "/v1/payouts/results", results)
    await story.told("POST", "/v1/payouts/results", results)
    await story.balances()


async def _give_back(story: Story) -> None:
    purchase = story.purchase
    story.say("## Ann is refunded what she has not spent")
    answer = await story.ask("POST", f"/v1/purchases/{purchase}/refund", {"reason": "she asked"})
    story.name(answer["refund"], "REFUND")
    asked = f"backend> POST /v1/purchases/{purchase}/refund {{reason: she asked}}"
    story.show(asked, _flat(answer))
    await story.balances()
    story.say(
        "## Her bank takes the rest back\n\n"
        "The 700 coins are spent, so she owes them. What they earned is taken back where it is\n"
        "not paid out yet: all of Dora's; of Cleo's only what is left, and the platform bears\n"
        "the rest (`--clawback unpaid`)."
    )
    await story.told("POST", f"/v1/purchases/{purchase}/chargeback", {"reason": "disputed"})
    await story.balances()
    story.say("While she owes coins she cannot give. New coins pay the debt first.")
    await story.give("garden", "spark", "k5")
    wire = {"user": "ann", "coins": 750, "reason": "paid by wire"}
    await story.told("POST", "/v1/grants", wire)
    await story.balances()


async def _look_back(story: Story) -> None:
    story.say("## Where everything went")
    for person in PEOPLE:
        await story.statement(person)
    story.say("The trial balance: everybody's accounts in each currency, and the system's side.")
    lines = [
        f"{line.currency:<8} {line.code:<22} {line.debits:>10,} {line.credits:>10,}"
        for line in storage.open_books(story.server.database).trial_balance()
    ]
    story.show(f"{'currency':<8} {'account':<22} {'debits':>10} {'credits':>10}", *lines)


async def _until(story: Story, person: str, field: str, value: int) -> None:
    for _ in range(100):
        wallet = await story.ask("GET", f"/v1/users/{person}/wallet")
        if wallet[field] == value:
            return
        await asyncio.sleep(0.1)
    raise AssertionError((person, field, wallet))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(asyncio.run(tell(Path(folder))), "utf-8")

"""The sandbox: the whole way of a payment, without money and without a network."""

import json

import pytest

from server.payments import (
    PROVIDERS,
    BadNotification,
    ChargebackWon,
    ChargedBack,
    Declined,
    Paid,
    RefundSeen,
    Sandbox,
    open_provider,
)
from server.payments.signing import sign, verify
from server.settings.table import TABLE, Settings

PAID = Paid(purchase="p-1", payment="pay-1", amount_minor=499, currency="USD")
ALL_KINDS = [
    PAID,
    Declined(purchase="p-1", reason="the viewer declined"),
    RefundSeen(purchase=None, payment="pay-1", refunded_minor=100, currency="USD"),
    ChargedBack(
        purchase="p-1", payment="pay-1", amount_minor=499, currency="USD", reason="fraudulent"
    ),
    ChargebackWon(purchase="p-1", payment="pay-1"),
]


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox("a secret")


async def test_a_purchase_is_paid_on_a_page_of_our_own(sandbox, wish) -> None:
    checkout = await sandbox.start(wish())
    assert checkout == ("p-1", "https://gifts.example/checkout/sandbox/p-1")
    assert await sandbox.start(wish()) == checkout
    assert (await sandbox.start(wish(purchase="a/b", return_url="https://x/"))).url == (
        "https://x/checkout/sandbox/a%2Fb"
    )


async def test_refunds_succeed_and_nobody_has_to_be_asked_what_became_of_a_checkout(
    sandbox,
) -> None:
    await sandbox.refund("r-1", "pay-1", 499, "USD")
    assert await sandbox.look_up("p-1") is None
    await sandbox.close()


@pytest.mark.parametrize("told", ALL_KINDS, ids=lambda told: type(told).__name__)
def test_every_notification_arrives_as_it_was_sent(sandbox, now_ms, told) -> None:
    assert sandbox.read(*sandbox.notify(told, now_ms), now_ms) == told


def test_another_server_with_the_same_secret_understands_it(sandbox, now_ms) -> None:
    assert Sandbox("a secret").read(*sandbox.notify(PAID, now_ms), now_ms) == PAID


def test_another_secret_is_refused(sandbox, now_ms) -> None:
    with pytest.raises(BadNotification, match="does not fit"):
        Sandbox("another").read(*sandbox.notify(PAID, now_ms), now_ms)


def test_an_altered_body_is_refused(sandbox, now_ms) -> None:
    headers, body = sandbox.notify(PAID, now_ms)
    with pytest.raises(BadNotification, match="does not fit"):
        sandbox.read(headers, body.replace(b"499", b"999"), now_ms)


def test_the_key_is_not_the_secret_itself(sandbox, now_ms) -> None:
    headers, body = sandbox.notify(PAID, now_ms)
    with pytest.raises(BadNotification):
        verify(b"a secret", headers["Sandbox-Signature"], body, now_ms)


def signed(sandbox: Sandbox, body: bytes, now_ms: int) -> tuple[dict[str, str], bytes]:
    return {"sandbox-signature": sign(sandbox._key, body, now_ms)}, body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"kind":"paid"}',
        b'{"kind":"unheard-of"}',
        b'{"kind":"paid","purchase":"p","payment":"x","amount_minor":"499","currency":"USD"}',
        b'{"kind":"paid","purchase":"p","payment":"x","amount_minor":-1,"currency":"USD"}',
        b'{"kind":"paid","purchase":"p","payment":"x","amount_minor":1.5,"currency":"USD"}',
        b'{"kind":"paid","purchase":"p","payment":"x","amount_minor":1,"currency":"usd"}',
        b'{"kind":"paid","purchase":"p","payment":"","amount_minor":1,"currency":"USD"}',
        b'{"kind":"chargeback_won","purchase":1,"payment":"x"}',
        b'{"kind":' + b"[" * 100_000,
    ],
    ids=lambda body: body[:60].decode("latin-1") or "empty",
)
def test_what_cannot_be_read_is_refused_even_when_it_is_signed(sandbox, now_ms, body) -> None:
    with pytest.raises(BadNotification, match="cannot be read"):
        sandbox.read(*signed(sandbox, body, now_ms), now_ms)


def test_the_body_is_json_that_a_person_can_write(sandbox, now_ms) -> None:
    _, body = sandbox.notify(PAID, now_ms)
    assert json.loads(body) == {
        "kind": "paid",
        "purchase": "p-1",
        "payment": "pay-1",
        "amount_minor": 499,
        "currency": "USD",
    }


# The front door


def test_the_front_door_opens_the_sandbox() -> None:
    provider = open_provider(Settings(token_secret="a secret"))
    assert isinstance(provider, Sandbox)
    assert provider.name == "sandbox"


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("paypal", {}, "There is no payment provider paypal: use sandbox or stripe"),
        ("sandbox", {"token_secret": ""}, "needs a secret"),
        ("stripe", {}, "stripe_secret_key and stripe_webhook_secret"),
        ("stripe", {"stripe_secret_key": "sk_1"}, "needs stripe_webhook_secret"),
        ("stripe", {"stripe_webhook_secret": "whsec_1"}, "needs stripe_secret_key"),
        ("stripe", {"stripe_secret_key": "  ", "stripe_webhook_secret": "w"}, "stripe_secret_key"),
    ],
)
def test_the_front_door_says_what_is_missing(name, given, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        open_provider(Settings(payment_provider=name, **({"token_secret": "a secret"} | given)))


def test_what_the_setting_offers_is_what_the_front_door_knows() -> None:
    assert TABLE["payment_provider"].choices == PROVIDERS

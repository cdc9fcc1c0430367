"""Where a webhook may go, in every spelling, and that nothing changes between check and connect."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kit.building.builders import gift
from kit.servers.receiving import Receiver, Rig, receiving
from server.webhooks import Guard, Poster, guard

PRIVATE = """
https://127.0.0.1/        https://127.8.9.1/        https://localhost/
https://[::1]/            https://[::]/             https://[::ffff:127.0.0.1]/
https://[::ffff:7f00:1]/  https://[::ffff:8.8.8.8]/ https://[::127.0.0.1]/
https://0.0.0.0/          https://10.0.0.1/         https://10.255.255.255/ https://100.64.0.1/
https://169.254.169.254/latest/meta-data            https://[::ffff:169.254.169.254]/
https://172.16.0.1/       https://172.31.255.255/   https://192.168.1.1:8443/x
https://192.0.0.192/      https://192.0.2.1/        https://198.18.0.1/     https://198.51.100.7/
https://203.0.113.9/      https://224.0.0.1/        https://239.255.255.250/
https://240.0.0.1/        https://255.255.255.255/  https://168.63.129.16/
https://[fe80::1]/        https://[fec0::1]/        https://[fc00::1]/      https://[fd00:ec2::254]/
https://[ff02::1]/        https://[64:ff9b::7f00:1]/                        https://[64:ff9b:1::1]/
https://[2002:7f00:1::]/  https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/   https://[2001:db8::1]/
https://[100::1]/         https://[3fff::1]/
""".split()

ODD = """
https://2130706433/       https://0x7f000001/       https://0x7f.1/         https://127.1/
https://0177.0.0.1/       https://017700000001/     https://127.0.0.1./     https://127.0.0.0x1/
https://1.2.3.4.5/        https://8.8.8.08/         https://①②⑦.⓪.⓪.①/
""".split()

MISWRITTEN = {
    "http://example.com/": "begins with https",
    "ftp://example.com/": "begins with https",
    "file:///etc/passwd": "begins with https",
    "gopher://127.0.0.1:6379/_FLUSHALL": "begins with https",
    "//example.com/": "begins with https",
    "example.com": "begins with https",
    "": "begins with https",
    "https:///path": "names a host",
    "https://user:pass@example.com/": "no user name",
    "https://example.com@127.0.0.1/": "no user name",
    "https://@example.com/": "no user name",
    "https://example.com/#part": "no fragment",
    "https://example.com\\@127.0.0.1/": "backslashes",
    "https://exam ple.com/": "spaces",
    "https://example.com/\r\nHost: evil": "control",
    "https://[::1": "not a URL",
    "https://example.com:99999/": "not a URL",
    "https://" + "a" * 3_000: "at most",
}

OPEN = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("url", PRIVATE)
async def test_addresses_of_our_own_are_refused(url: str) -> None:
    assert "private or reserved" in str(await Guard(allow_private=False).check_url(url))


@pytest.mark.parametrize("url", ODD)
async def test_addresses_in_spellings_that_hide_something_are_refused(url: str) -> None:
    refusal = str(await Guard(allow_private=False).check_url(url))
    assert "usual form" in refusal or "not a URL" in refusal


@pytest.mark.parametrize("url", MISWRITTEN)
async def test_what_is_not_a_plain_https_url_is_refused(url: str) -> None:
    assert MISWRITTEN[url] in str(await Guard(allow_private=False).check_url(url))


@pytest.mark.parametrize("address", OPEN)
async def test_public_addresses_are_let_through_at_any_port(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    checked = Guard(allow_private=False)
    assert await checked.check_url(f"https://{host}/hooks?x=1") is None
    assert await checked.check_url(f"https://{host}:8443/") is None


async def test_one_private_address_of_a_name_refuses_the_name() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.7"]

    checked = Guard(allow_private=False, resolve=resolve)
    assert "hooks.example leads into" in str(await checked.check_url("https://hooks.example/"))


async def test_a_name_that_cannot_be_resolved_now_may_be_set() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert (
        await Guard(allow_private=False, resolve=resolve).check_url("https://later.example/")
        is None
    )


async def test_private_addresses_and_plain_http_are_let_through_when_the_setting_says_so() -> None:
    assert await Guard(allow_private=True).check_url("http://127.0.0.1:8080/hooks") is None
    assert await Guard(allow_private=True).check_url("http://u:p@127.0.0.1/") is not None


async def test_a_name_that_changes_between_check_and_post_reaches_nobody(
    rig: Rig, receiver: Receiver
) -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    port = receiver.url.rpartition(":")[2].removesuffix("/hooks")
    url = f"https://hooks.example:{port}/hooks"
    rig.allow_private, rig.resolve = False, rebinding
    assert await Guard(allow_private=False, resolve=rebinding).check_url(url) is None
    rig.endpoint(url, since=5)
    rig.start()
    await rig.settle(gift())
    await rig.tried(1)
    [attempt] = await rig.attempts()
    assert "private or reserved" in str(attempt.error)
    assert receiver.posts == []
    assert receiver.connections == 0


async def test_an_endpoint_that_was_set_before_the_rules_is_still_guarded(
    rig: Rig, receiver: Receiver
) -> None:
    rig.allow_private = False
    rig.endpoint(receiver.url, since=5)
    rig.start()
    await rig.settle(gift())
    await rig.tried(1)
    [attempt] = await rig.attempts()
    assert "begins with https" in str(attempt.error)
    assert receiver.connections == 0


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """`localhost` is 127.0.0.1 to the system, and nobody listens there on this port."""
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"]

    async with receiving("127.0.0.2") as receiver:
        url = receiver.url.replace("127.0.0.2", "localhost")
        async with Poster(Guard(allow_private=True, resolve=resolve)) as poster:
            answer = await poster.post(url, {}, b"{}")
        assert answer.delivered, answer
        assert asked == ["localhost"]
        assert receiver.posts[0].headers["host"].startswith("localhost:")


async def test_a_proxy_from_the_environment_is_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with Poster(Guard(allow_private=True)) as poster:
        assert (await poster.post(receiver.url, {}, b"{}")).delivered


# TLS: the address is ours to choose, the certificate is asked for by name.


def _certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "hooks.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return pem


@pytest.mark.parametrize(("name", "delivered"), [("hooks.test", True), ("other.test", False)])
async def test_the_certificate_must_be_the_one_of_the_name(
    tmp_path: Path, name: str, delivered: bool
) -> None:
    pem = _certificate(tmp_path, "hooks.test")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=pem)

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with receiving(tls=serving) as receiver:
        url = receiver.url.replace("127.0.0.1", name)
        checked = Guard(allow_private=True, resolve=resolve)
        async with Poster(checked, tls=trusting) as poster:
            answer = await poster.post(url, {}, b"{}")
        assert answer.delivered is delivered, answer
        assert len(receiver.posts) == delivered


def test_no_block_of_the_registry_is_open() -> None:
    for block in map(ipaddress.ip_network, ["127.0.0.0/8", "169.254.0.0/16", "fc00::/7"]):
        assert not guard.is_open(str(block[1]))
        assert not guard.is_open(str(block[-1]))
    assert not guard.is_open("fe80::1%eth0")
    assert not guard.is_open("no address")

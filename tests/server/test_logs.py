"""Logs: one event per line, and never a token."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server import logs

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_keys() -> None:
    stream = io.StringIO()
    logs.configure("auto", "info", stream)
    structlog.get_logger("largesse").info("room_opened", room="evening", seq=3)
    [line] = lines(stream)
    assert (line["event"], line["room"], line["seq"]) == ("room_opened", "evening", 3)
    assert line["level"] == "info" and "at" in line


def test_a_console_line_is_no_json() -> None:
    stream = io.StringIO()
    logs.configure("console", "info", stream)
    structlog.get_logger().info("room_opened", room="evening")
    assert "room_opened" in stream.getvalue() and not stream.getvalue().startswith("{")


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    logs.configure("json", "warning", stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("uvicorn.error").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_is_written(log_format: str) -> None:
    stream = io.StringIO()
    logs.configure(log_format, "debug", stream)
    log = structlog.get_logger()
    log.info("a", token="canary", Authorization="canary", secret="canary", api_key="canary")
    log.info("b", headers={"X-A": {"api-key": "canary"}, "b": [{"token": "canary"}]})
    log.info("c", deep={"a": {"b": {"c": {"d": {"token": "canary"}}}}})
    log.info("Authorization: Bearer canary", url="/v1/ws?a=1&token=canary")
    logging.getLogger("websockets.server").debug("< Authorization: Bearer canary")
    logging.getLogger("other").warning("bad token %s", TOKEN)
    try:
        raise ValueError(TOKEN)
    except ValueError:
        log.exception("d")
    assert "canary" not in stream.getvalue() and TOKEN not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_uvicorn_speaks_through_the_same_handler_and_logs_no_access() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("uvicorn.access").info("GET /")
    [line] = lines(stream)
    assert line["event"] == "Started server process [7]"


def test_the_requests_that_the_server_makes_itself_are_no_news() -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    logging.getLogger("httpx").info("HTTP Request: POST http://127.0.0.1/v1/grants")
    assert stream.getvalue() == ""

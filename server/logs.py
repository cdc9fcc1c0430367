"""How largesse logs: one event name and keys per line, readable at a terminal and JSON elsewhere.

Everything goes one way, structlog's own events and those of the libraries (uvicorn, asyncio,
websockets): through one handler of the standard library to standard error, where secrets are taken
out last, so that no library can write one past us. Standard output is left to what commands print.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import TextIO

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_KEYS = frozenset(
    {"token", "authorization", "secret", "api_key", "token_secret", "password", "cookie"}
)
NESTED_MAX = 4  # what lies deeper is masked as a whole

# A bearer header, a token in a query, or anything of the shape of a JWT.
_SECRET_TEXT = re.compile(
    r"(?i)(?<=bearer )[^\s'\"]+|(?<=[?&]token=)[^\s&'\"]+|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
)
MASK = "…"

# Their debug lines print whole requests, headers included, once per connection; httpx has a line at
# `info` for every request that it makes.
_NOISY = {
    "websockets": logging.INFO,
    "httpx": logging.WARNING,
    "httpcore": logging.INFO,
    "aiosqlite": logging.INFO,
}


def configure(log_format: str, log_level: str, stream: TextIO | None = None) -> None:
    """Sets up logging for this process; the settings log_format and log_level as they stand.

    Give uvicorn `log_config=None, access_log=False`, or it sets up its own.
    """
    stream = sys.stderr if stream is None else stream
    console = log_format == "console" or (log_format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                drop_secrets,
                _renderer(console, stream),
            ],
        )
    )
    _route(handler, getattr(logging, log_level.upper()))


def _renderer(console: bool, stream: TextIO) -> Processor:
    if not console:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # Plain tracebacks: the pretty ones print local variables, and tokens are among them.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        timestamp_key="at",
        exception_formatter=structlog.dev.plain_traceback,
    )


def _route(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False
    access.disabled = True
    for name, quietest in _NOISY.items():
        logging.getLogger(name).setLevel(max(level, quietest))


def drop_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drops keys that name a secret, at any depth, and masks what looks like a token in texts."""
    return {key: _clean(value, 0) for key, value in event.items() if not _names_secret(key)}


def _names_secret(key: object) -> bool:
    return isinstance(key, str) and key.lower().replace("-", "_") in SECRET_KEYS


def _clean(value: object, depth: int) -> object:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(MASK, value)
    if isinstance(value, Mapping | list | tuple) and depth == NESTED_MAX:
        return MASK
    if isinstance(value, Mapping):
        return {k: _clean(v, depth + 1) for k, v in value.items() if not _names_secret(k)}
    if isinstance(value, list | tuple):
        return [_clean(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _SECRET_TEXT.sub(MASK, repr(value))

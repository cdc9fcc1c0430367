"""A real HTTP server of a few lines, which answers what a test tells it to."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any


@dataclass
class Backend:
    """Answers what it is told to, and keeps what it was asked."""

    url: str = ""
    answers: list[tuple[int, str, bytes]] = field(default_factory=list)
    asked: list[SimpleNamespace] = field(default_factory=list)

    def will_answer(
        self, content: object, status: int = 200, kind: str = "application/json"
    ) -> None:
        """Status 0 is to hang up without an answer."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.answers.append((status, kind, body))

    def will_list(self, *items: dict[str, Any], cursor: str | None = None) -> None:
        self.will_answer({"items": items, "next_cursor": cursor})


@contextlib.contextmanager
def answering() -> Iterator[Backend]:
    seen = Backend()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = self.headers.get("Content-Type") == "application/json"
            asked = SimpleNamespace(
                line=f"{self.command} {self.path}",
                headers=self.headers,
                raw=raw,
                body=json.loads(raw) if raw and is_json else None,
            )
            seen.asked.append(asked)
            status, kind, content = seen.answers.pop(0)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield seen
        server.shutdown()
        thread.join()

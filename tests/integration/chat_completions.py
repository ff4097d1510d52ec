"""A local server of OpenAI's formats: chat completions (whole, streams, tools, refusals), responses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import responses

MODEL = "gpt-4o-mini"
ANSWER = ["Your ", "refund ", "is on its way."]
_CREATED_S = 1_762_000_000
_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

# What a client asks for by the model's name, as the status to answer with.
REFUSALS = {"refuse-400": 400, "refuse-500": 500}


class ChatCompletions:
    """Answers every request with the same words, so that two runs give the same spans."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @contextmanager
    def serving(self) -> Iterator[ChatCompletions]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_stream = bool(body.get("stream"))
        if self.path == "/v1/responses":
            if is_stream:
                self._stream(responses.parts(body["model"], ANSWER))
            else:
                self._reply(200, responses.whole(body["model"], ANSWER))
        elif self.path != "/v1/chat/completions":
            self._reply(404, _refusal(f"no such path: {self.path}"))
        elif status := REFUSALS.get(body["model"]):
            self._reply(status, _refusal(f"refused with {status}"))
        elif is_stream:
            counts = (body.get("stream_options") or {}).get("include_usage", False)
            self._stream([*_chunks(body["model"], counts=counts), "[DONE]"])
        elif body.get("tools") and body["messages"][-1]["role"] == "user":
            self._reply(200, _tool_call(body))
        else:
            self._reply(200, _completion(body["model"]))

    def date_time_string(self, timestamp: float | None = None) -> str:
        """One date for all: instrumentations may record the headers of a reply."""
        return "Wed, 01 Jan 2025 00:00:00 GMT"

    def log_message(self, *args: object) -> None:
        """Say nothing on stderr."""

    def _reply(self, status: int, content: dict[str, Any]) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _stream(self, events: Iterable[dict[str, Any] | str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            self._chunk(f"data: {text}\n\n".encode())
        self._chunk(b"")

    def _chunk(self, payload: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))
        self.wfile.flush()


def _completion(model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(ANSWER), "refusal": None}
    return _with_message(model, message, "stop")


def _tool_call(body: dict[str, Any]) -> dict[str, Any]:
    """Ask for the first tool, with what the user wrote as its text."""
    asked = body["messages"][-1]["content"]
    text = asked if isinstance(asked, str) else asked[0]["text"]
    function = {
        "name": body["tools"][0]["function"]["name"],
        "arguments": json.dumps({"text": text}),
    }
    call = {"id": "call-1", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    return _with_message(body["model"], message, "tool_calls")


def _with_message(model: str, message: dict[str, Any], reason: str) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return {**_envelope(model, "chat.completion"), "choices": [choice], "usage": _USAGE}


def _chunks(model: str, *, counts: bool) -> Iterator[dict[str, Any]]:
    envelope = _envelope(model, "chat.completion.chunk")
    deltas: list[tuple[dict[str, str], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        *(({"content": words}, None) for words in ANSWER),
        ({}, "stop"),
    ]
    for delta, reason in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        yield {**envelope, "choices": [choice], **({"usage": None} if counts else {})}
    if counts:
        yield {**envelope, "choices": [], "usage": _USAGE}


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": _CREATED_S,
        "model": f"{model}-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def _refusal(message: str) -> dict[str, Any]:
    return {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": "refused",
        }
    }

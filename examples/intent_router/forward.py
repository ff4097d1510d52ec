"""Send the spans of a file of OTLP JSON lines to a backend that takes OTLP, such as Phoenix.

For example `python examples/intent_router/forward.py demo-output/traces.jsonl http://localhost:6006`.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = {"traceId", "spanId", "parentSpanId"}
_PAUSE_S = 1.0


class ForwardError(Exception):
    """What keeps the spans from getting there, in one line."""


def forward(file: Path, url: str, headers: dict[str, str], *, follow: bool) -> int:
    """Send every line with spans, in the file's order.

    Args:
        file: OTLP JSON lines.
        url: The backend, without `/v1/traces`.
        headers: To send along, such as an API key.
        follow: Wait for further lines, also for the file itself, for ever.

    Returns:
        How many spans were sent.

    Raises:
        ForwardError: The file is not there, or the backend does not take the spans.
    """
    sent = 0
    with httpx.Client(headers=headers, timeout=30) as client:
        for number, line in enumerate(_lines(file, follow=follow), 1):
            request = _request(line, f"{file}, line {number}")
            if request is not None:
                _send(client, f"{url.rstrip('/')}/v1/traces", request, patient=follow)
                sent += _count(request)
    return sent


def _lines(file: Path, *, follow: bool) -> Iterator[str]:
    """Whole lines; the last one only once it has its end."""
    while follow and not file.exists():
        time.sleep(_PAUSE_S)
    try:
        stream = file.open(encoding="utf-8")
    except OSError as error:
        raise ForwardError(f"{file}: {error.strerror}") from error
    begun = ""
    with stream:
        while True:
            part = stream.readline()
            if part.endswith("\n"):
                yield begun + part
                begun = ""
            elif follow:
                begun += part
                time.sleep(_PAUSE_S)
            else:
                return


def _request(line: str, place: str) -> ExportTraceServiceRequest | None:
    """A line's spans; None for a line of metrics or logs."""
    try:
        content = json.loads(line)
        if "resourceSpans" not in content:
            return None
        return ParseDict(
            _with_ids(content), ExportTraceServiceRequest(), ignore_unknown_fields=True
        )
    except (ValueError, ParseError) as error:
        print(f"forward: {place} is left out: {error}", file=sys.stderr)
        return None


def _with_ids(content: Any) -> Any:
    """The same with ids in base64: OTLP JSON has them in hex, protobuf's own JSON does not."""
    if isinstance(content, list):
        return [_with_ids(item) for item in content]
    if isinstance(content, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in _IDS
            else _with_ids(value)
            for key, value in content.items()
        }
    return content


def _send(
    client: httpx.Client, url: str, request: ExportTraceServiceRequest, *, patient: bool
) -> None:
    body, kind = request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
    while True:
        try:
            answer = client.post(url, content=body, headers=kind)
        except httpx.HTTPError as error:
            problem = str(error)
        else:
            if answer.is_success:
                return
            problem = f"{answer.status_code} {answer.text[:200]}"
        if not patient:
            raise ForwardError(f"{url} does not take the spans: {problem}")
        time.sleep(_PAUSE_S)


def _count(request: ExportTraceServiceRequest) -> int:
    return sum(
        len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans
    )


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, not {text!r}")
    return name, value


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="OTLP JSON lines")
    parser.add_argument("url", help="the backend, such as http://localhost:6006")
    parser.add_argument("--header", type=_header, action="append", default=[], help="NAME=VALUE")
    parser.add_argument("--follow", action="store_true", help="wait for further lines, for ever")
    args = parser.parse_args()
    try:
        sent = forward(args.file, args.url, dict(args.header), follow=args.follow)
    except ForwardError as error:
        print(f"forward: {error}", file=sys.stderr)
        return 2
    print(f"{sent} spans sent to {args.url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

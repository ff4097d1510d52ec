"""Users of the chat service: sessions of questions, and half-way a new version of the model.

python examples/intent_router/load.py http://localhost:8000 --requests 1600 --deploy v2
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
from users import Message, messages

_AT_ONCE = 4
_PAUSE_S = 0.5


class LoadError(Exception):
    """Why no load can be put on the service, in one line."""


def put_load(
    url: str,
    requests: int,
    *,
    deploy: str | None = None,
    seed: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Send questions, four at a time; half-way, deploy another version.

    Args:
        url: The service, such as `http://localhost:8000`.
        requests: How many questions to ask.
        deploy: The version to use for the second half; None leaves the model alone.
        seed: Decides who asks what.
        progress: Is told how many answers have come.

    Returns:
        How many requests failed.

    Raises:
        LoadError: The service does not answer, or has no such version.
    """
    stream = itertools.islice(messages(random.Random(seed)), requests)  # noqa: S311 - no secret
    failed = 0
    with httpx.Client(base_url=url, timeout=30) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        done = itertools.count(1)
        first = requests // 2 if deploy is not None else requests
        for count, version in ((first, None), (requests - first, deploy)):
            if version is not None:
                _deploy(client, version)
            asked = itertools.islice(stream, count)
            for is_answered in pool.map(lambda message: _ask(client, message), asked):
                failed += not is_answered
                progress(next(done))
    return failed


def keep_asking(url: str, seed: int) -> None:
    """Ask now and then, until the process is stopped."""
    with httpx.Client(base_url=url, timeout=30) as client:
        for message in messages(random.Random(seed)):  # noqa: S311 - no secret
            _ask(client, message)
            time.sleep(_PAUSE_S)


def wait_for(
    url: str, *, longest_s: float = 120, while_true: Callable[[], bool] = lambda: True
) -> None:
    """Return when a service answers at `/health`.

    Raises:
        LoadError: It does not in that time, or what it waits on has become false.
    """
    start = time.monotonic()
    while while_true() and time.monotonic() < start + longest_s:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    waited_s = time.monotonic() - start
    raise LoadError(f"nothing answers at {url}/health after {waited_s:.0f} s")


def _deploy(client: httpx.Client, version: str) -> None:
    answer = client.put(f"/model/{version}")
    if not answer.is_success:
        raise LoadError(f"{version} cannot be deployed: {answer.json()['detail']}")


def _ask(client: httpx.Client, message: Message) -> bool:
    body = {"question": message.text, "session": message.session, "case": message.case}
    try:
        return client.post("/chat", json=body).is_success
    except httpx.HTTPError:
        return False


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="the chat service, such as http://localhost:8000")
    parser.add_argument("--requests", type=int, default=1600)
    parser.add_argument("--deploy", metavar="VERSION", help="use this version from half-way on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-on", action="store_true", help="then ask now and then, for ever")
    args = parser.parse_args()

    def say(done: int) -> None:
        if done % 100 == 0:
            print(f"{done} of {args.requests} questions asked", flush=True)

    url = args.url.rstrip("/")
    try:
        wait_for(url)
        failed = put_load(url, args.requests, deploy=args.deploy, seed=args.seed, progress=say)
    except LoadError as error:
        print(f"load: {error}", file=sys.stderr)
        return 2
    print(f"{args.requests} questions asked, {failed} without an answer", flush=True)
    if args.keep_on:
        keep_asking(url, args.seed + 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

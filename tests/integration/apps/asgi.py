"""An ASGI service: each request is an inference, and so is the end of the service.

`TARGET` names the target of `export=`; started as a program, it runs uvicorn by itself.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import keras_otel

if TARGET := os.environ.get("TARGET"):
    keras_otel.instrument(export=TARGET)

import keras
import numpy as np

model = keras.Sequential(
    [keras.layers.Input((3,)), keras.layers.Activation("softmax")], name="echo"
)
keras_otel.describe(model, version="7", labels=["request", "slow", "end"])


def predict(label: int) -> None:
    """One inference whose class is the label of this number."""
    model(np.eye(3, dtype="float32")[label : label + 1] * 9)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer a request, `/slow` after a second; predict once more at the end."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                predict(2)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
        await asyncio.to_thread(predict, 1)
    else:
        predict(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")

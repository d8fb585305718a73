"""A service over HTTP that enhances the faces of images, one after another.

    pip install facepipe fastapi uvicorn
    uvicorn --app-dir examples service:app
    curl --data-binary @photo.jpg http://127.0.0.1:8000/images -o clear.png

The networks load once. Requests wait in a queue; one that finds it full is told to come again.
Enhanced faces are plausible inventions and no evidence: each answer says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import cv2
import numpy as np
from fastapi import Body, FastAPI, HTTPException, Request, Response
from numpy.typing import NDArray

from facepipe import FaceEnhancer, FacepipeError

Image = NDArray[np.uint8]
Job = tuple[Image, asyncio.Future[Image]]
#: Requests that wait, and bytes of one, at most.
MOST_WAITING, MOST_BYTES = 16, 50_000_000
NOTICE = "Enhanced faces are plausible inventions of a neural network and no evidence."


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[None]:
    """Begin the queue and the worker that empties it, for as long as the service runs."""
    app.state.queue = asyncio.Queue[Job](MOST_WAITING)
    with FaceEnhancer(channels="bgr") as enhancer:
        worker = asyncio.create_task(work(app.state.queue, enhancer))
        try:
            yield
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker


async def work(queue: asyncio.Queue[Job], enhancer: FaceEnhancer) -> None:
    """Enhance one image after another, while the service answers other requests."""
    while True:
        image, done = await queue.get()
        if done.cancelled():  # whoever asked has gone
            continue
        try:
            enhanced = await asyncio.to_thread(enhancer.enhance_image, image)
        except FacepipeError as error:
            if not done.cancelled():
                done.set_exception(error)
        else:
            if not done.cancelled():
                done.set_result(enhanced)


app = FastAPI(title="facepipe", lifespan=serving)


@app.post("/images")
async def enhance(
    request: Request, content: Annotated[bytes, Body(media_type="application/octet-stream")]
) -> Response:
    """An image file of up to MOST_BYTES in, a PNG with clearer faces out."""
    if len(content) > MOST_BYTES:
        raise HTTPException(413, f"at most {MOST_BYTES} bytes are taken")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise HTTPException(415, "this is no image that OpenCV reads")
    done: asyncio.Future[Image] = asyncio.get_running_loop().create_future()
    try:
        request.app.state.queue.put_nowait((image, done))
    except asyncio.QueueFull:
        raise HTTPException(503, "too many wait", headers={"Retry-After": "5"}) from None
    try:
        enhanced = await done
    except FacepipeError as error:
        raise HTTPException(422, str(error)) from error
    _, png = cv2.imencode(".png", enhanced)
    return Response(png.tobytes(), media_type="image/png", headers={"X-Notice": NOTICE})

"""The server's addresses: the page and its files, and what it asks for and has done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from facepipe.datatypes import Track
from facepipe.errors import FacepipeError, UsageError, printable
from facepipe.presentation.variants import look_of
from facepipe.presentation.views import Look
from facepipe.ui.access import Guard, Keys
from facepipe.ui.answers import about_job, about_moment, about_video, best_frame, mark_of
from facepipe.ui.commands import Kind
from facepipe.ui.jobs import Queue
from facepipe.ui.library import Library, NotFoundError
from facepipe.ui.pictures import Pictures
from facepipe.ui.project import Opened, Project
from facepipe.ui.uploads import Uploads

#: Bytes of a request that is no upload, at most; videos that are held open; websockets at once.
MOST_BODY, _MOST_PROJECTS, _MOST_SOCKETS = 2**16, 8, 16
#: Seconds after which the page is told what has changed.
_TELL_SECONDS = 0.25
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
#: Of results that are downloaded: they run no script here and reach nothing.
_SANDBOX = {
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'none'"
}

Handler = Callable[[Request], Awaitable[Response]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Tracks(_Body):
    video: str = Field(max_length=4096)
    numbers: list[int] = Field(max_length=10_000)
    enhance: bool


class _Values(_Body):
    video: str = Field(max_length=4096)
    values: dict[str, str | float | int | list[float] | None] = Field(max_length=20)


class _NewJob(_Body):
    video: str = Field(max_length=4096)
    kind: Kind


@dataclass
class Server:
    """What the addresses work on."""

    library: Library
    queue: Queue
    pictures: Pictures
    keys: Keys
    uploads: Uploads
    _projects: dict[Path, Project] = field(default_factory=dict)
    _sockets: int = 0

    def app(self) -> ASGIApp:
        """All addresses, behind their guard."""
        routes = [
            Route("/", self.page),
            Route("/static/{name}", self.static),
            Route("/api/videos", _answered(self.videos)),
            Route("/api/video", _answered(self.video)),
            Route("/api/moment", _answered(self.moment)),
            Route("/api/frame", _answered(self.frame)),
            Route("/api/best", _answered(self.best)),
            Route("/api/thumbnail", _answered(self.thumbnail)),
            Route("/api/result", _answered(self.result)),
            Route("/api/tracks", _answered(self.set_tracks), methods=["POST"]),
            Route("/api/settings", _answered(self.set_settings), methods=["POST"]),
            Route("/api/jobs", _answered(self.add_job), methods=["POST"]),
            Route("/api/jobs/{number:int}/{verb}", _answered(self.change_job), methods=["POST"]),
            Route("/api/upload", _answered(self.upload), methods=["PUT"]),
            WebSocketRoute("/events", self.events),
        ]
        return Guard(Starlette(routes=routes), self.keys)

    async def page(self, request: Request) -> Response:
        """The page itself; with the token it brings the cookie."""
        answer = _static("index.html")
        if self.keys.use_token(request.query_params.get("token", "")):
            answer.headers["set-cookie"] = self.keys.set_cookie
        return answer

    async def static(self, request: Request) -> Response:
        """A file that the page is made of."""
        return _static(request.path_params["name"])

    async def videos(self, _: Request) -> Response:
        """The videos of the folder."""
        found = await run_in_threadpool(self.library.videos)
        return JSONResponse(
            {
                "folder": printable(self.library.folder),
                "videos": [asdict(one) for one in found],
                "most_bytes": self.uploads.most_bytes if self.library.only is None else 0,
            }
        )

    async def video(self, request: Request) -> Response:
        """A video with its tracks."""
        project, opened = await self._opened(request)
        return JSONResponse(await run_in_threadpool(about_video, project, opened, self.library))

    async def moment(self, request: Request) -> Response:
        """A frame's time and boxes."""
        _, opened = await self._opened(request)
        return JSONResponse(about_moment(opened, _frame_number(request, opened)))

    async def frame(self, request: Request) -> Response:
        """A frame as a JPEG: as it is, or with `after` as a run makes it."""
        _, opened = await self._opened(request)
        pts = opened.info.pts[_frame_number(request, opened)]
        look: Look | None = None
        if request.query_params.get("after"):
            look = look_of(opened.settings)
        made = await run_in_threadpool(self.pictures.frame, opened.info, pts, opened.tracks, look)
        return Response(made, media_type="image/jpeg", headers={"x-facepipe-pts": str(pts)})

    async def best(self, request: Request) -> Response:
        """The number of the frame that shows a track best."""
        _, opened = await self._opened(request)
        found = await run_in_threadpool(best_frame, _track(request, opened), opened.info.pts)
        return JSONResponse({"frame": found})

    async def thumbnail(self, request: Request) -> Response:
        """A track's face as a JPEG."""
        _, opened = await self._opened(request)
        track = _track(request, opened)
        made = await run_in_threadpool(self.pictures.thumbnail, opened.info, track)
        if made is None:
            raise NotFoundError
        return Response(made, media_type="image/jpeg", headers={"cache-control": "private"})

    async def result(self, request: Request) -> Response:
        """A video or a page that facepipe made, to download."""
        path = self.library.find_result(request.query_params.get("name", ""))
        return FileResponse(path, filename=path.name, headers=_SANDBOX)

    async def set_tracks(self, request: Request) -> Response:
        """Take tracks, or leave them out."""
        wanted = _Tracks.model_validate_json(await _body(request))
        project = self._project(wanted.video)
        await run_in_threadpool(project.set_enhanced, wanted.numbers, wanted.enhance)
        return await self._answer_video(project)

    async def set_settings(self, request: Request) -> Response:
        """Set settings of a video."""
        wanted = _Values.model_validate_json(await _body(request))
        project = self._project(wanted.video)
        await run_in_threadpool(project.assign, wanted.values)
        return await self._answer_video(project)

    async def add_job(self, request: Request) -> Response:
        """Put a job on a video in the queue."""
        wanted = _NewJob.model_validate_json(await _body(request))
        project = self._project(wanted.video)
        opened = await run_in_threadpool(project.opened)
        if wanted.kind == "render" and opened.found is None:
            raise UsageError("search for faces first")
        job = await run_in_threadpool(self.queue.add, wanted.kind, project.video)
        return JSONResponse(about_job(job, self.library), 201)

    async def change_job(self, request: Request) -> Response:
        """Stop, resume or remove a job."""
        queue = self.queue
        verbs = {"stop": queue.stop, "resume": queue.resume, "remove": queue.remove}
        verb = verbs.get(request.path_params["verb"])
        if verb is None:
            raise NotFoundError
        await run_in_threadpool(verb, request.path_params["number"])
        return JSONResponse({})

    async def upload(self, request: Request) -> Response:
        """Take a video into the folder."""
        if self.library.only is not None:
            raise UsageError("the page was opened for one video; open a folder to add others")
        length = request.headers.get("content-length", "")
        name = request.query_params.get("name", "")
        path = await self.uploads.take(name, length, request.stream())
        return JSONResponse({"name": self.library.name_of(path)}, 201)

    async def events(self, socket: WebSocket) -> None:
        """Tell of the jobs, and of the files of the video that is open, whenever they change."""
        if self._sockets >= _MOST_SOCKETS:
            await socket.close(1013)
            return
        await socket.accept()
        self._sockets += 1
        heard = asyncio.create_task(_closed(socket))
        try:
            await self._tell(socket, heard)
        except (WebSocketDisconnect, RuntimeError):  # it has gone
            pass
        finally:
            self._sockets -= 1
            heard.cancel()

    async def _tell(self, socket: WebSocket, heard: asyncio.Task[None]) -> None:
        last: object = None
        project = self._projects.get(self.library.folder / socket.query_params.get("video", ""))
        while not heard.done():
            mark = "" if project is None else await run_in_threadpool(mark_of, project)
            now = self.queue.version, mark
            if now != last:
                last = now
                jobs = [about_job(job, self.library) for job in self.queue.jobs()]
                await socket.send_text(json.dumps({"jobs": jobs, "mark": mark}))
            await asyncio.wait([heard], timeout=_TELL_SECONDS)

    async def _opened(self, request: Request) -> tuple[Project, Opened]:
        project = self._project(request.query_params.get("video", ""))
        return project, await run_in_threadpool(project.opened)

    async def _answer_video(self, project: Project) -> Response:
        opened = await run_in_threadpool(project.opened)
        return JSONResponse(await run_in_threadpool(about_video, project, opened, self.library))

    def _project(self, name: str) -> Project:
        path = self.library.find_video(name)
        if path not in self._projects:
            while len(self._projects) >= _MOST_PROJECTS:
                self._projects.pop(next(iter(self._projects)))
            self._projects[path] = Project(path)
        return self._projects[path]


def _answered(handler: Handler) -> Handler:
    """The handler; what it raises becomes an answer in words."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except NotFoundError:
            return JSONResponse({"error": "there is no such file here"}, 404)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = ".".join(map(str, fault["loc"]))
            return JSONResponse({"error": printable(f"{place}: {fault['msg']}")}, 400)
        except FacepipeError as error:
            return JSONResponse({"error": printable(error)}, 400)
        except OSError as error:  # a file that was there just now
            return JSONResponse({"error": printable(error.strerror or error)}, 400)
        except ClientDisconnect:  # nobody waits for an answer
            return Response(status_code=400)

    return answer


async def _body(request: Request) -> bytes:
    """A small body. UsageError: it is larger, or no JSON by its type."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise UsageError("this takes application/json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY:
            raise UsageError(f"a request may have {MOST_BODY} bytes")
    return body


async def _closed(socket: WebSocket) -> None:
    """Wait until the page has gone; what it sends is dropped."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _static(name: str) -> Response:
    suffix = name[name.rfind(".") :] if "." in name else ""
    path = files("facepipe.ui").joinpath("static", name)
    if suffix not in _TYPES or set(name) & set("/\\:") or not path.is_file():
        return Response("there is no such file\n", 404)
    return Response(path.read_bytes(), media_type=_TYPES[suffix])


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFoundError
    return int(text)


def _track(request: Request, opened: Opened) -> Track:
    track = opened.track(_number(request, "track"))
    if track is None:
        raise NotFoundError
    return track


def _frame_number(request: Request, opened: Opened) -> int:
    number = _number(request, "frame")
    if number >= len(opened.info.pts):
        raise NotFoundError
    return number

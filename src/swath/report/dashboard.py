"""`swath dashboard`: the report's page for a sweep that may be running, served from its store, updating by itself."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import psutil
from aiohttp import web

from swath.analysis.analyse import Analysis, analyse
from swath.analysis.effects.summary import NO_EFFECTS
from swath.analysis.load import read_results
from swath.analysis.results import Results
from swath.report.page import page
from swath.report.page.pictures import with_pictures
from swath.report.report_json import json_value, numbers
from swath.store.cluster_state import ClusterState, read_state
from swath.store.states import State
from swath.store.storage import Storage

FRESH_S = 2.0
"""Seconds between two readings of the store at least, however many pages ask."""
FINAL = (State.COMPLETE, State.STOPPED, State.FAILED, State.UNREADABLE)


class Dashboard:
    """The numbers of a sweep, kept fresh.

    States and epochs are read anew every `FRESH_S` seconds. Rankings, effects and ensembles are computed in the
    background each time further trials have ended; until then the page shows the previous ones.

    Args:
        storage: The store.
        name: The sweep.
        here: Returns the load of the machine that serves the page, as texts by name; by default `machine`.
    """

    def __init__(self, storage: Storage, name: str, here: Callable[[], dict[str, str]] | None = None) -> None:
        self._storage = storage
        self._name = name
        self._here = here or machine
        self._analysed: dict[str, Any] | None = None
        self._analysed_for: frozenset[str] | None = None
        self._analysing: asyncio.Task[None] | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self._latest: dict[str, Any] = {}
        self._pictures: dict[str, bytes] = {}
        self._pictures_before: dict[str, bytes] = {}  # a page may still be asking for them

    async def numbers(self) -> dict[str, Any]:
        """The content of report.json with a `live` entry."""
        async with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                self._latest = await self._read()
                self._read_at = time.monotonic()
        return self._latest

    def picture(self, name: str) -> bytes | None:
        """A WebP picture that the numbers refer to as `pictures/NAME`."""
        return self._pictures.get(name) or self._pictures_before.get(name)

    async def close(self) -> None:
        """Wait for a computation that is under way."""
        if self._analysing is not None:
            await self._analysing

    async def _read(self) -> dict[str, Any]:
        results = await asyncio.to_thread(read_results, self._storage, self._name, False)
        ended = frozenset(t.fingerprint for task in results.tasks for t in task.trials if t.state in FINAL)
        if ended != self._analysed_for and (self._analysing is None or self._analysing.done()):
            self._analysing = asyncio.create_task(self._analyse(ended))
            await asyncio.wait({self._analysing}, timeout=FRESH_S)
        return await asyncio.to_thread(self._merged, results)

    async def _analyse(self, ended: frozenset[str]) -> None:
        self._analysed = await asyncio.to_thread(self._analysis)
        self._analysed_for = ended

    def _analysis(self) -> dict[str, Any]:
        results = read_results(self._storage, self._name)
        analysed = numbers(results, [analyse(task) for task in results.tasks])
        pictures: dict[str, bytes] = {}

        def keep(picture: bytes) -> str:
            """Keep a picture for the page, which asks for it once and not at every update; its address."""
            name = hashlib.sha256(picture).hexdigest()[:20]
            pictures[name] = picture
            return f"pictures/{name}"

        shown = with_pictures(analysed, self._storage, results.sweep, keep)
        self._pictures, self._pictures_before = pictures, self._pictures
        return shown

    def _merged(self, results: Results) -> dict[str, Any]:
        """The numbers computed last, with the present states and epochs."""
        light = numbers(results, [Analysis(task, (), NO_EFFECTS, ()) for task in results.tasks])
        by_data = {task["data"]: task for task in self._analysed["tasks"]} if self._analysed else {}
        for task in light["tasks"]:
            computed = by_data.get(task["data"])
            if computed is None:
                task["headline"] = ["The finished trials are being read; rankings follow."]
                continue
            scored = {t["fingerprint"]: t for t in computed["trials"]}
            now = [scored[t["fingerprint"]] if _same_end(scored, t) else t for t in task["trials"]]
            task.update({**computed, "trials": now})
        light["sheets"] = self._analysed["sheets"] if self._analysed else []
        state = read_state(self._storage, self._name)
        light["live"] = {**live(light, {**cluster_texts(state), **self._here()}), "ray_dashboard": ray_page(state)}
        light["updated"] = time.strftime("looked at %Y-%m-%d %H:%M:%S")
        return light


def _same_end(scored: dict[str, dict[str, Any]], trial: dict[str, Any]) -> bool:
    """True where the trial had ended when it was scored, and has not been started again."""
    before = scored.get(trial["fingerprint"])
    return before is not None and before["state"] in FINAL and trial["state"] in FINAL


def live(report: dict[str, Any], cluster: dict[str, str]) -> dict[str, Any]:
    """Throughput and what is left, for the trials that are being trained now.

    Args:
        report: The content of report.json.
        cluster: The load of the machines, as texts by name.
    """
    trials = [t for task in report["tasks"] for t in task["trials"]]
    running = [t for t in trials if t["state"] == State.UNFINISHED and t["at_work"]]
    waiting = [t for t in trials if t["state"] in (State.NOT_RUN, State.UNFINISHED)]
    seconds = [t["left_s"] / (t["epochs_planned"] - t["epochs"]) for t in trials if (t["left_s"] or 0) > 0]
    epochs_left = sum(t["epochs_planned"] - t["epochs"] for t in waiting)
    per_epoch = sum(seconds) / len(seconds) if seconds else None
    return json_value(
        {
            "images_per_s": sum(t["images_per_s"] or 0 for t in running) if running else None,
            "epochs_left": epochs_left,
            "left_s": epochs_left * per_epoch / len(running) if running and per_epoch else None,
            "left_device_s": epochs_left * per_epoch if per_epoch else None,
            "cluster": cluster,
        }
    )


def cluster_texts(state: ClusterState | None) -> dict[str, str]:
    """The load of Ray's cluster as texts by name, {} where the sweep's driver uses none."""
    if state is None:
        return {}
    if state.silent_s:
        return {"not heard of for": f"{state.silent_s / 60:.0f} min: the driver, which may be lost"}
    lost = f", {state.nodes_lost} lost" if state.nodes_lost else ""
    used = {f"{name}s in use": f"{state.in_use.get(name, 0):g} of {total:g}" for name, total in state.total.items()}
    return {**used, "nodes": f"{state.nodes}{lost}"}


def ray_page(state: ClusterState | None) -> str | None:
    """Address of Ray's own dashboard, where there is one; nothing but an address of the web."""
    if state is None or state.silent_s or not state.dashboard.startswith(("http://", "https://")):
        return None
    return state.dashboard


def machine() -> dict[str, str]:
    """Processors, over a tenth of a second, and memory of this machine."""
    memory = psutil.virtual_memory()
    return {
        "processors busy here": f"{psutil.cpu_percent(interval=0.1):.0f} % of {psutil.cpu_count()}",
        "memory used here": f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.1f} GiB",
    }


def application(dashboard: Dashboard) -> web.Application:
    """The page at `/`, its pictures below `/pictures/`, its numbers at `/report.json`.

    The numbers have an ETag, so that an unchanged sweep costs no transfer.
    """

    async def send_page(request: web.Request) -> web.Response:
        text = await asyncio.to_thread(page, await dashboard.numbers())
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def send_numbers(request: web.Request) -> web.Response:
        body = json.dumps(await dashboard.numbers(), ensure_ascii=False, allow_nan=False).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=body, content_type="application/json", headers={"ETag": etag})

    async def send_picture(request: web.Request) -> web.Response:
        picture = dashboard.picture(request.match_info["name"])
        if picture is None:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "max-age=86400, immutable"}  # a name says what is in it
        return web.Response(body=picture, content_type="image/webp", headers=headers)

    async def close(_: web.Application) -> None:
        await dashboard.close()

    app = web.Application()
    app.add_routes(
        [web.get("/", send_page), web.get("/report.json", send_numbers), web.get("/pictures/{name}", send_picture)]
    )
    app.on_cleanup.append(close)
    return app


def serve(dashboard: Dashboard, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        dashboard: The sweep.
        host: Address to listen on; 127.0.0.1 keeps the page on this machine.
        port: 0 takes a free one.
        say: Called with a line that gives the address of the page.
    """
    asyncio.run(_serve(dashboard, host, port, say))


async def _serve(dashboard: Dashboard, host: str, port: int, say: Callable[[str], None]) -> None:
    await dashboard.numbers()  # an unknown sweep is an error here, not on the page
    runner = web.AppRunner(application(dashboard), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        shown, taken = runner.addresses[0][:2]
        say(f"dashboard: http://{shown}:{taken} (Ctrl-C ends it)")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()

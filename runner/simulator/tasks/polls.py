"""What polls are answered, and what a submit is answered that began a task."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from aiohttp import web

from runner.simulator.answers.images import ImageRenderer
from runner.simulator.answers.templates import Document, answer_values, failure_values
from runner.simulator.dialects.model import Dialect, Template, fill
from runner.simulator.faults import wire
from runner.simulator.faults.kinds import Fault
from runner.simulator.faults.refusals import turn_away
from runner.simulator.requests.errors import ServiceError
from runner.simulator.requests.read import caller_key
from runner.simulator.requests.responses import json_response
from runner.simulator.stats import Stats
from runner.simulator.tasks.life import TASK_LIFE_S, Phase, Task, TaskBook, View, view_of

_FAULTY_POLLS = {429: "rate_limit_no_hint", 500: "server_error", 503: "overloaded"}


class Polls:
    """The tasks of one simulator and the answers about them. outage: the fault that every request meets now, if any."""

    def __init__(
        self,
        dialect: Dialect,
        renderer: ImageRenderer,
        stats: Stats,
        book: TaskBook,
        outage: Callable[[], Fault | None],
    ) -> None:
        self.book = book
        self._dialect = dialect
        self._form = dialect.task
        self._renderer = renderer
        self._stats = stats
        self._outage = outage

    def paths(self, base: str) -> list[str]:
        """Where polls come. base: the dialect's, as a route."""
        return [path if path.startswith("/") else f"{base}/{path}" for path in self._form.polls]

    def submitted(self, task: Task, request: web.Request) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the answer to a submit; `TaskForm.submit_status` is its status."""
        view = View(Phase.QUEUED, 0, task.id)
        values = self._values(task, view, request)
        headers = {name: fill(text, values) for name, text in self._form.submit_headers}
        return json.dumps(fill(self._form.submitted, values)).encode(), headers

    async def poll(self, request: web.Request) -> web.StreamResponse:
        """Answer a GET for a task; ServiceError where there is none or the fault says so."""
        now = time.monotonic()
        self._stats.begin_poll(now)
        status = "cut"
        try:
            response = await self._answer(request, now)
            status = str(response.status) if wire.is_connected(request) else "cut"
        except ServiceError as error:
            status = str(error.status)
            raise
        finally:
            self._stats.end_poll(status)
        return response

    async def _answer(self, request: web.Request, now: float) -> web.StreamResponse:
        key = caller_key(request, self._dialect)
        outage = self._outage()
        if outage is not None:
            return turn_away(outage, "req_of_the_poll")
        task = self.book.find(request.match_info["id"], key, now)
        if task is None:
            raise self._lost(request.match_info["id"])
        task.polls += 1
        if task.plot.vanished:
            raise self._lost(task.id)
        if task.polls <= task.disturbed_polls:
            if task.plot.silent:
                return await wire.until_closed(request)
            if task.plot.errors:
                return self._faulty(task)
        view = view_of(task, now)
        if view.phase < Phase.DONE:
            return json_response(self._fill(self._form.going, task, view, request))
        if view.phase is Phase.FAILED:
            response = json_response(self._failed(task, view, request))
        else:
            response = json_response(await self._done(task, view, request))
        await response.prepare(request)
        await response.write_eof()
        task.collected = task.collected or wire.is_connected(request)
        return response

    def _lost(self, id: str) -> ServiceError:
        message = f"Task {id} not found or expired."
        own = fill(self._form.lost, {"id": id, "message": message})
        return ServiceError(404, message, code="task_not_found", own=own)

    def _faulty(self, task: Task) -> web.Response:
        """The error that this poll meets; ServiceError where it is one of the service's own."""
        errors, fault = task.plot.errors, task.fault
        given = fault.status if fault else None
        status = errors[(task.polls - 1) % len(errors)] if given is None else given
        met = Fault(
            _FAULTY_POLLS.get(status, "html_502"),
            status=status,
            retry_after=fault.retry_after if fault else None,
        )
        return turn_away(met, "req_of_the_poll")

    def _failed(self, task: Task, view: View, request: web.Request) -> bytes:
        code, message = (None, None) if task.fault is None else (task.fault.code, task.fault.message)
        values = failure_values(task.plot.failure, code, message, self._dialect)
        return self._fill(self._form.failed, task, view, request, values)

    async def _done(self, task: Task, view: View, request: web.Request) -> bytes:
        """The finished task's document; kept where it is small, so that URLs stay what they are."""
        if task.body is not None:
            return task.body

        def dress(document: Document) -> Document:
            answer = answer_values(document, self._dialect, in_one_list=task.number % 2 == 1)
            filled: Document = fill(self._form.done, answer | self._values(task, view, request))
            return filled

        body = await self._renderer.body(task.order, task.fault, task.key, request, dress)
        if task.order.as_url:
            task.body = body
        return body

    def _fill(
        self,
        template: Template,
        task: Task,
        view: View,
        request: web.Request,
        more: Document | None = None,
    ) -> bytes:
        return json.dumps(fill(template, self._values(task, view, request) | (more or {}))).encode()

    def _values(self, task: Task, view: View, request: web.Request) -> Document:
        word = self._form.words[view.phase] if view.word is None else view.word
        path = self.paths(self._dialect.base)[0].replace("{id}", view.id) + self._dialect.base_query
        return {
            "id": view.id,
            "status": word,
            "progress": view.progress,
            "percent": f"{view.progress}%",
            "created": task.created,
            "updated": int(time.time()),
            "expires_at": int(task.created + TASK_LIFE_S),
            "poll_path": path,
            "poll_url": f"{request.scheme}://{request.host}{path}",
            "model": task.order.model,
        }

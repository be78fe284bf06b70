"""The bugs: exact pieces of the product's source, what takes their place, and the tests that are asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """One change to the product. path: of the file; old: text that is there just once; new: what takes its place.

    tests: the files (or single tests) that are run with the bug in place.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


_ORDER = "tests/stories/test_order.py"
_ENGINE = "tests/runner/engine/test_engine.py"
_TRANSPORT = "tests/runner/http/test_client.py"
_IMAGES = "tests/runner/artifacts/test_image_checks.py"
_PNG = "tests/runner/artifacts/formats/test_png.py"
_CANARY = "tests/stories/test_canary.py"
_SEQUENCES = "tests/stories/test_any_sequence.py"

BUGS = (
    Bug(
        "outcome recorded before the image is saved",
        "runner/artifacts/image_store.py",
        "        name = save_unique(self.folder, checked.name, lambda: (checked.data,))\n",
        "        name = checked.name\n"
        "        __import__('threading').Timer(0.05, save_unique, (self.folder, name, lambda: (checked.data,))).start()\n",
        ("tests/contracts/test_artifact_store.py", _ORDER, _ENGINE),
    ),
    Bug(
        "no fsync of the folder after the rename",
        "runner/artifacts/atomic_files.py",
        "    os.fsync(folder.descriptor)\n",
        "",
        (_ORDER,),
    ),
    Bug(
        "sent again after a time-out",
        "schemas/failures.py",
        '"sent, no complete answer in time",\n        billed=_MAYBE,\n        resend=_IF_ALLOWED,',
        '"sent, no complete answer in time",\n        billed=_MAYBE,\n        resend=_COUNTED,',
        (
            "tests/schemas/test_failures.py",
            "tests/stories/test_retry.py::test_a_request_that_timed_out_is_sent_again_only_by_name",
        ),
    ),
    Bug(
        "lost intent: sent without waiting for the ledger",
        "runner/ledger/attempt_log.py",
        "        await self._writer.record(intent_records(intent))\n",
        "        self._writer.record(intent_records(intent))\n",
        (_ORDER, _ENGINE),
    ),
    Bug(
        "lost intent: told to be durable before the commit",
        "runner/ledger/writer.py",
        "            for statements, _ in batch:\n",
        "            self._resolve([future for _, future in batch], None)\n"
        "            __import__('time').sleep(0.02)\n"
        "            for statements, _ in batch:\n",
        (_ORDER, "tests/runner/ledger/test_writer.py"),
    ),
    Bug(
        "edited rows are bought again unasked",
        "jobs/manifest_diff.py",
        '    if not is_held or on_change == "regenerate":\n',
        '    if not is_held or on_change != "keep":\n',
        ("tests/jobs/test_manifest_diff.py",),
    ),
    Bug(
        "parked rows are sent again by a plain retry",
        "runner/retry/survey.py",
        "            taken |= self._named(results.table, may) if each is RowStatus.PARKED else may\n",
        "            taken |= may\n",
        ("tests/runner/retry/test_survey.py", _SEQUENCES),
    ),
    Bug(
        "a success is hidden by a later failure",
        "jobs/state.py",
        "    images = tuple(newest.get(i) or _lacking(attempts, i) for i in range(n))\n",
        "    hidden = last.status is RowStatus.FAILED\n"
        "    images = tuple((not hidden and newest.get(i)) or _lacking(attempts, i) for i in range(n))\n",
        (_SEQUENCES,),
    ),
    Bug(
        "a retry asks for images that are there",
        "runner/retry/survey.py",
        "        asked = [each for each in every if each in already_made or (lacks and not succeeded[each])]\n",
        "        asked = list(every)\n",
        (_SEQUENCES,),
    ),
    Bug(
        "truncated PNG accepted",
        "runner/artifacts/formats/png.py",
        '            raise broken("it has no end")\n',
        "            break\n",
        (_IMAGES,),
    ),
    Bug(
        "PNG with half of its pixels accepted",
        "runner/artifacts/formats/png.py",
        "    if left or not inflater.eof:\n",
        "    if not inflater.eof:\n",
        (_PNG,),
    ),
    Bug(
        "truncated JPEG accepted",
        "runner/artifacts/formats/jpeg.py",
        '    if found is None:\n        raise broken("it has no end")\n',
        "    if found is None:\n        return Structure(1, 1, (), 0, lambda: False)\n",
        (_IMAGES,),
    ),
    Bug(
        "images that take long are decoded by threads, which nothing can end",
        "runner/artifacts/image_checks.py",
        "    if patience_ns is not None and effort_ns > patience_ns:\n",
        "    if False:\n",
        (_IMAGES,),
    ),
    Bug(
        "a check goes on after the run was cut short",
        "runner/artifacts/slow_checks.py",
        "            async with self._cancel.cancellable():\n                return",
        "            if True:\n                return",
        ("tests/runner/artifacts/test_slow_checks.py",),
    ),
    Bug(
        "key in logs: nothing is registered for redaction",
        "runner/process/redaction.py",
        "        if len(secret) >= _SHORTEST_SECRET and secret not in self._secrets:\n",
        "        if not secret:\n",
        (_CANARY, "tests/runner/config/test_credentials.py", "tests/runner/telemetry/test_logs.py"),
    ),
    Bug(
        "key in the ledger: the service's messages are kept as they come",
        "runner/engine/settlement.py",
        "        message=redactor.text(failure.message),\n",
        "",
        (_CANARY, _ENGINE),
    ),
    Bug(
        "id coerced: 007 becomes 7",
        "jobs/rows.py",
        '        ids = [value or "" for value in given]\n',
        '        ids = [str(int(value)) if value and value.isdecimal() else value or "" for value in given]\n',
        ("tests/jobs/test_rows.py", "tests/runner/manifest/test_odd_manifests.py"),
    ),
    Bug(
        "redirect followed, of the POST too",
        "runner/http/client.py",
        "allow_redirects=False",
        "allow_redirects=True",
        (_TRANSPORT,),
    ),
    Bug(
        "redirect of a download followed wherever it leads",
        "runner/http/client.py",
        "            target = self._target(target, location)\n",
        "            target = target.join(URL(location))\n",
        ("tests/runner/http/test_client_fetches.py",),
    ),
    Bug(
        "answer of another request: a connection goes on after bytes that nobody asked for",
        "runner/http/sessions.py",
        "or not protocol.is_connected() or protocol.should_close:",
        "or not protocol.is_connected():",
        ("tests/runner/http/test_kept_connections.py",),
    ),
    Bug(
        "the URL of an image is recorded only when it could not be fetched",
        "runner/providers/image_links.py",
        "        yield Checkpoint(unfetched)\n",
        "        pass\n",
        ("tests/runner/providers/test_polling.py",),
    ),
    Bug(
        "a dead run's images that are to be fetched are parked",
        "runner/ledger/writer.py",
        " AND attempt NOT IN (SELECT attempt FROM unfetched)",
        "",
        ("tests/runner/ledger/test_statistics.py",),
    ),
    Bug(
        "an image that could not be fetched counts as failed",
        "runner/engine/policy.py",
        "        if outcome.unfetched is not None:\n            return FetchLater(), work._replace(history=history)\n",
        "",
        ("tests/runner/engine/test_later_fetches.py",),
    ),
    Bug(
        "a connection is used again at once",
        "runner/http/resting.py",
        "REST_S = 0.02\n",
        "REST_S = 0.0\n",
        ("tests/runner/http/test_resting.py",),
    ),
    Bug(
        "a run that pays for nothing goes on",
        "runner/app/composition.py",
        '    brake = Brake(job.run.max_unusable or None, Addressee(ready.key_from or "", ready.endpoint.base_url))\n',
        "    brake = Brake(None)\n",
        ("tests/stories/test_hostile_services.py",),
    ),
    Bug(
        "what a second process did not save is not saved by threads",
        "runner/artifacts/save_queue.py",
        "            return await self._by_thread(orders)\n",
        "            raise\n",
        ("tests/runner/artifacts/test_save_process.py",),
    ),
    Bug(
        "signed queries stay in quarantine",
        "runner/process/redaction.py",
        "        return _without_queries(self._without_keys(pieces))\n",
        "        return self._without_keys(pieces)\n",
        ("tests/runner/process/test_redaction.py",),
    ),
    Bug(
        "a request is forgotten before it has left",
        "runner/limits/rate_limiter.py",
        "weight.amount_of(unit), has_left=False)",
        "weight.amount_of(unit))",
        ("tests/runner/limits/test_rate_limiter.py",),
    ),
    Bug(
        "a key that expired is not read again",
        "runner/roads/online.py",
        "                    self._client.use_key(header)\n",
        "                    pass\n",
        ("tests/contracts/test_road.py",),
    ),
)

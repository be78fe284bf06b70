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


_ORDER = "tests/runner/test_order.py"
_ENGINE = "tests/runner/test_engine.py"
_TRANSPORT = "tests/runner/test_transport.py"
_IMAGES = "tests/runner/store/test_images.py"
_CANARY = "tests/test_canary.py"
_SEQUENCES = "tests/runner/test_any_sequence.py"

BUGS = (
    Bug(
        "outcome recorded before the image is saved",
        "runner/artifacts/image_store.py",
        "        name = keep(self.folder, checked.name, lambda: (checked.data,))\n",
        "        name = checked.name\n"
        "        __import__('threading').Timer(0.05, keep, (self.folder, name, lambda: (checked.data,))).start()\n",
        (_ORDER, _ENGINE),
    ),
    Bug(
        "no fsync of the folder after the rename",
        "runner/artifacts/atomic_files.py",
        "            os.fsync(target.descriptor)\n",
        "",
        (_ORDER,),
    ),
    Bug(
        "sent again after a time-out",
        "schemas/failures.py",
        "    FailureKind.TIMEOUT: Rule(_IF, _MAYBE, _K,",
        "    FailureKind.TIMEOUT: Rule(_COUNTED, _MAYBE, _K,",
        (
            "tests/schemas/test_failures.py",
            "tests/runner/test_retry.py::test_a_request_that_timed_out_is_sent_again_only_by_name",
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
        (_ORDER, "tests/runner/store/test_ledger.py"),
    ),
    Bug(
        "edited rows are bought again unasked",
        "jobs/manifest_diff.py",
        '    if not is_held or on_change == "regenerate":\n',
        '    if not is_held or on_change != "keep":\n',
        ("tests/jobs/test_changes.py",),
    ),
    Bug(
        "parked rows are sent again by a plain retry",
        "runner/retry/survey.py",
        "            taken |= self._named(told.table, may) if each is RowStatus.PARKED else may\n",
        "            taken |= may\n",
        (_SEQUENCES,),
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
        "        asked = [each for each in every if each in again or (lacks and not succeeded[each])]\n",
        "        asked = list(every)\n",
        (_SEQUENCES,),
    ),
    Bug(
        "truncated PNG accepted",
        "runner/artifacts/image_checks.py",
        "                flags = _png_end(data)\n",
        "                flags = ()\n",
        (_IMAGES,),
    ),
    Bug(
        "truncated JPEG accepted",
        "runner/artifacts/image_checks.py",
        "                image.load()\n",
        "",
        (_IMAGES,),
    ),
    Bug(
        "key in logs: nothing is registered for redaction",
        "runner/process/redaction.py",
        "        if len(secret) < _SHORTEST_SECRET:\n            return\n",
        "        return\n",
        (_CANARY, "tests/runner/test_secrets.py", "tests/runner/test_logs.py"),
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
        ("tests/runner/test_transport_fetches.py",),
    ),
    Bug(
        "answer of another request: a connection goes on after bytes that nobody asked for",
        "runner/http/sessions.py",
        "or not protocol.is_connected() or protocol.should_close:",
        "or not protocol.is_connected():",
        ("tests/runner/test_kept_connections.py",),
    ),
)

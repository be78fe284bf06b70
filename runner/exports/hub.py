"""`--push hf://datasets/OWNER/NAME`: an export goes to the Hub, in the mode that goes on where it stopped."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from runner.exports.destination import OWN
from schemas.errors import ExitCode, JobError

PUSHED = ("parquet", "webdataset")
"""Layouts of few large files; the Hub answers 429 and 504 to loose ones by the hundred thousand."""
_ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)/?")


def repository(address: str, to: str) -> str:
    """`OWNER/NAME` of the address. Raises JobError where it is none, or nobody is logged in."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise JobError(f"--push {address!r} is no dataset", fix="for example --push hf://datasets/OWNER/NAME")
    if to not in PUSHED:
        raise JobError(
            f"--to {to} is not pushed: the Hub takes few large files, not many small ones",
            fix="--to parquet, or --to webdataset",
        )
    if find_spec("huggingface_hub") is None:
        raise JobError("--push needs the package huggingface_hub", fix="pip install 'imagemill[hub]'")
    from huggingface_hub import get_token

    if get_token() is None:
        raise JobError(
            "--push: you are not logged in to the Hub",
            fix="log in with `hf auth login`, or set HF_TOKEN to a token that may write",
            exit_code=ExitCode.ACCOUNT,
        )
    return found[1]


def push(folder: Path, name: str) -> None:
    """Send an export that is whole, in several commits; a new dataset is private. Raises JobError where the Hub refuses."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
        ignored = [pattern for own in sorted(OWN) for pattern in (own, f"{own}/**")]
        api.upload_folder(repo_id=name, folder_path=folder, repo_type="dataset", ignore_patterns=ignored)
    except HfHubHTTPError as error:
        raise JobError(
            f"the Hub refused {name}: {str(error).splitlines()[0]}",
            fix="the export is whole; the same command sends what is missing",
            exit_code=ExitCode.ACCOUNT,
        ) from None

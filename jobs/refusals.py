"""How the refusal of a whole run is told: which key was refused, which address leads nowhere, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.failures import Failure, FailureKind

_VERSION = re.compile(r"/v\d|/openai/deployments/")


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a run asks. key_from: where its key was found, as `Service.key_from`. base_url: without the key, for messages."""

    key_from: str = ""
    base_url: str = ""

    def told(self, failure: Failure) -> str:
        """Why the run ends with this refusal, in one sentence."""
        message = failure.message
        key = f"the key from {self.key_from}" if self.key_from else "the key"
        match failure.kind:
            case FailureKind.AUTH:
                return f"{key} was refused: {message}"
            case FailureKind.FORBIDDEN:
                return f"{key} may not do this: {message}"
            case FailureKind.QUOTA:
                return f"no money or quota is left for {key}: {message}"
            case FailureKind.NOT_FOUND:
                return f"there is no such path or model at {self.base_url or 'the service'}{self._hint}: {message}"
            case FailureKind.NOT_AN_API:
                return f"{self.base_url or 'the base URL'} leads to no API: {message}"
            case _:
                return message

    @property
    def _hint(self) -> str:
        """What a base URL most often lacks."""
        if not self.base_url or _VERSION.search(self.base_url):
            return ""
        return f" (most end in a version: --base-url {self.base_url}/v1)"

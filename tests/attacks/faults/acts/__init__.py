"""What the server can do instead of answering well. Each act is `f(exchange)`; the prompt's marker names it."""

from __future__ import annotations

from collections.abc import Callable

from tests.attacks.faults.acts import breaks, contents, frames, links, refusals
from tests.attacks.faults.exchange import Exchange

ACTS: dict[str, Callable[[Exchange], None]] = {
    **refusals.ACTS,
    **breaks.ACTS,
    **frames.ACTS,
    **contents.ACTS,
    **links.ACTS,
}
"""Every act by the name that markers use."""

UNREAD = frozenset({"reset_unread", "early"})
"""Acts that run while the request still lies unread in the kernel."""

"""Settings that these tests share."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("imagemill", deadline=None)
settings.load_profile("imagemill")

"""Base URLs: what people paste, and what is known by it."""

from __future__ import annotations

import pytest

from runner.config.base_urls import BaseUrlFault, checked_base_url, profile_known_by


@pytest.mark.parametrize(
    ("url", "azure"),
    [
        ("https://name.openai.azure.com/openai/deployments/images?api-version=2025-04-01-preview", True),
        ("https://name.openai.azure.com/openai/v1", True),
        ("https://gateway.example/openai/deployments/images", True),
        ("https://gateway.example/openai/v1", False),
        ("https://openai.azure.com.evil.example/v1", False),
    ],
)
def test_azure_is_known_by_its_path_or_host(url: str, azure: bool) -> None:
    assert (profile_known_by(url) == "azure") is azure


@pytest.mark.parametrize(
    ("url", "suggestion"),
    [
        ("[::1]:8790/v1", "http://[::1]:8790/v1"),
        ("localhost:8790", "http://localhost:8790"),
        ("v1", ""),
        ("", ""),
        ("https://host:99999/v1", ""),
        ("ftp://host.example/v1/models", "https://host.example/v1"),
        ("https://user:secret@host.example/v1?key=secret#x", "https://host.example/v1"),
    ],
)
def test_a_refused_url_has_a_suggestion_without_what_may_be_secret(url: str, suggestion: str) -> None:
    with pytest.raises(BaseUrlFault) as caught:
        checked_base_url(url, allow_http=False)
    assert caught.value.suggestion == suggestion

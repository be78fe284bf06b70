"""Which names are of secrets, and that what stands under them is left out at any depth."""

from __future__ import annotations

import pytest

from schemas.secret_names import NOT_KEPT, commands_secret, names_secret, secret_texts, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        *(
            "key",
            "KEY",
            "api_key",
            "apiKey",
            "APIKey",
            "api-key",
            "x-api-key",
            "apikey",
            "X-Auth-Key",
            "access_key",
        ),
        *(
            "token",
            "access_token",
            "accessToken",
            "auth_token",
            "id_token",
            "session-token",
            "TOKEN",
            "bearer",
        ),
        *("secret", "client_secret", "clientSecret", "password", "passwd", "pwd", "Authorization", "auth"),
        *("credential", "credentials", "signature", "sig", "private_key", "secretKey", "signing_key"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "style",
            "seed",
            "user",
            "keyframe",
            "key_frame",
            "monkey",
            "keyword",
            "negative_prompt",
            "author",
        ),
        *(
            "max_tokens",
            "tokens",
            "token_count",
            "token_type",
            "auth_mode",
            "signature_url",
            "safety",
            "design",
        ),
        *("authenticity", "secretary", "passport", "passes", "key_color", "primary_key", "user_id"),
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert not names_secret(name)


def test_texts_under_them_are_left_out_at_any_depth() -> None:
    value = {
        "style": "vivid",
        "token": "abc",
        "seed": 7,
        "webhook": {"url": "https://x", "auth": {"password": "p", "user": "u"}, "keys": ["k"]},
        "credentials": ["one", {"name": "two"}],
        "secret": 5,
    }
    assert without_secrets(value) == {
        "style": "vivid",
        "token": NOT_KEPT,
        "seed": 7,
        "webhook": {"url": "https://x", "auth": {"password": NOT_KEPT, "user": "u"}, "keys": ["k"]},
        "credentials": [NOT_KEPT, {"name": "two"}],
        "secret": 5,
    }
    assert list(secret_texts(value)) == ["abc", "p", "one"]


@pytest.mark.parametrize(
    "command",
    [
        *(
            "vault --password S get key",
            "vault --password=S get",
            "x -token S",
            "x --api-key S",
            "x --client-secret S",
        ),
        *(
            "curl -su admin:S http://vault/x",
            "curl -u admin:S x",
            "curl https://me:S@vault/x",
            "sh -c 'x --passphrase S'",
        ),
    ],
)
def test_commands_with_a_secret(command: str) -> None:
    assert commands_secret(command)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "op read op://vault/imagemill/key",
            "pass show imagemill",
            "cat /run/secrets/key",
            "vault get secret/key",
        ),
        *(
            "aws secretsmanager get-secret-value --secret-id prod/mill",
            "printenv MY_KEY",
            "gcloud auth print-access-token",
        ),
        *(
            "curl https://vault.example/key",
            "gopass -o imagemill/token",
            "security find-generic-password -w -s x",
        ),
    ],
)
def test_commands_without_one(command: str) -> None:
    assert not commands_secret(command)

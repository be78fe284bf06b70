"""The forms in which an answer comes: documents, streams, bytes of images, parts, and web pages."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from runner.providers.answer_forms import form_of
from tests.support.answers import whole


def encoded(kind: str) -> bytes:
    """A small image in this format."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 90, 40)).save(out, kind)
    return out.getvalue()


PNG = encoded("PNG")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", "application/json", ""])
@pytest.mark.parametrize("piece", [1, 2**20])
def test_the_bytes_of_an_image_are_one_whatever_they_are_called(
    kind: str, content_type: str, piece: int
) -> None:
    data = encoded(kind)
    form = form_of(whole(data, piece=piece, content_type=content_type))
    assert [b"".join(image.data or ()) for image in form.images] == [data]


def test_an_image_of_a_kind_that_is_not_known_is_one_by_its_content_type() -> None:
    form = form_of(whole(b"something new", content_type="image/jxl"))
    assert [b"".join(image.data or ()) for image in form.images] == [b"something new"]


def test_a_document_is_one_although_it_is_called_an_image() -> None:
    assert form_of(whole({"error": "no"}, content_type="image/png")).document == {"error": "no"}


@pytest.mark.parametrize("start", ["", "\n \n\t", "\ufeff"])
def test_blanks_before_a_document_do_no_harm(start: str) -> None:
    assert form_of(whole(start + '{"created": 1}')).document == {"created": 1}


MIXED = b"".join(
    (
        b"--xyz\r\nContent-Type: application/json\r\n\r\n",
        b'{"created": 5, "usage": {"output_tokens": 3}}\r\n',
        b"--xyz\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=1.png\r\n\r\n",
        PNG + b"\r\n",
        b'--xyz\r\nContent-Disposition: form-data; name="image"\r\n\r\n',
        PNG + b"\r\n--xyz--\r\n",
    )
)


@pytest.mark.parametrize(
    "content_type", ['multipart/mixed; boundary="xyz"', "Multipart/Form-Data; charset=x; boundary=xyz"]
)
def test_parts_are_images_and_a_document(content_type: str) -> None:
    form = form_of(whole(MIXED, content_type=content_type))
    assert form.document == {"created": 5, "usage": {"output_tokens": 3}}
    assert [b"".join(image.data or ()) for image in form.images] == [PNG, PNG]


@pytest.mark.parametrize("body", [b"", b"--xyz", b"--xyz\r\n\r\n", b"--xyz--", b"no parts at all"])
def test_parts_that_hold_nothing(body: bytes) -> None:
    form = form_of(whole(body, content_type="multipart/mixed; boundary=xyz"))
    assert (form.document, form.images) == (None, ())
    assert form.problem


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<!doctype html><html><head><title>New API</title></head></html>", "New API"),
        ("\ufeff\r\n<!-- a --><!-- b -->\n<HTML><TITLE lang=en>\n One\n API </TITLE>", "One API"),
        ('<?xml version="1.0"?><!DOCTYPE html PUBLIC "x"><html/>', ""),
        ("<html>no title</html>", ""),
        ("<head><title>" + "x" * 500 + "</title>", "x" * 100),
    ],
)
def test_a_web_page_is_known_by_how_it_begins(page: str, title: str) -> None:
    assert form_of(whole(page)).page == title


@pytest.mark.parametrize(
    "text",
    ["<Error><Code>AccessDenied</Code></Error>", "<svg/>", "OK", '{"html": "<html>"}', "<!-- no page -->"],
)
def test_what_is_no_web_page(text: str) -> None:
    assert form_of(whole(text)).page is None


@pytest.mark.parametrize("text", ["", "created", '{"data": [', "data", "null x", "[" * 100_000])
def test_what_is_no_form_at_all_says_why(text: str) -> None:
    form = form_of(whole(text))
    assert (form.document, form.images, form.page) == (None, (), None)
    assert form.problem


def test_documents_one_a_line() -> None:
    text = base64.b64encode(PNG).decode()
    form = form_of(whole(f'{{"done": false}}\n{{"done": true, "image": "{text}"}}\n'))
    assert form.document == {"events": [{"done": False}, {"done": True, "image": text}]}


def test_a_stream_of_more_values_than_are_parsed_is_none() -> None:
    form = form_of(whole("data: {}\n\n" * 150_000 + 'data: {"a": 1, "b": [1, 2]}\n\n' * 20_000))
    assert form.document is None

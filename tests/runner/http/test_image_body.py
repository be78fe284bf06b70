"""The lifter against plain json and base64, wherever the body is cut; what it was fed can always be given back."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.http.image_body import WINDOW_MARGIN, ImageLifter, decode_loosely
from runner.http.messages import LIFTED, MAX_VALUES, Body, BodyTooLarge

IMAGE = bytes(range(256)) * 3 + b"\x89PNG"
B64 = base64.b64encode(IMAGE).decode()


def read(*pieces: bytes, max_bytes: int = 10**9) -> Body:
    """The body that arrived in these pieces, by themselves and, which must be the same, each in a window."""
    lifter, through = ImageLifter(max_bytes), ImageLifter(max_bytes)
    for piece in pieces:
        lifter.feed(piece)
    for piece in pieces:
        window = bytearray(b"?" * WINDOW_MARGIN + piece + b"?")
        through.feed_window(window, WINDOW_MARGIN, WINDOW_MARGIN + len(piece))
    body, same = lifter.finish(), through.finish()
    assert (body.skeleton, body.marks, body.size) == (same.skeleton, same.marks, same.size)
    assert [image.data for image in body.images] == [image.data for image in same.images]
    assert b"".join(body.verbatim()) == b"".join(same.verbatim())
    return same


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data cut at these places."""
    marks = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks)]


def verbatim(body: Body) -> bytes:
    """The body put together again."""
    return b"".join(body.verbatim())


def plain(text: str) -> bytes | None:
    """What a string stands for, read the slow way; None when it is not base64."""
    text = "".join(re.sub(r"^\s*data:[^,]*;base64,", "", text, flags=re.I).split())
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def encoded_strings(document: Any) -> Iterator[str]:
    """Every string under a key `b64_json`, in the order of the text."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "b64_json" and isinstance(value, str):
                yield value
            else:
                yield from encoded_strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from encoded_strings(value)


def agrees(body: Body, data: bytes) -> None:
    """The lifted body tells what the plain reading of the same bytes tells."""
    assert verbatim(body) == data
    assert body.size == len(data)
    strings = list(encoded_strings(json.loads(data)))
    assert list(encoded_strings(body.document())) == [f"{LIFTED}{i}" for i in range(len(strings))]
    assert [image.data for image in body.images] == [plain(text) for text in strings]
    numbers = iter(range(len(strings)))
    skeleton = json.loads(data, object_hook=lambda found: _numbered(found, numbers))
    assert body.document() == skeleton


def _numbered(found: dict[str, Any], numbers: Iterator[int]) -> dict[str, Any]:
    if isinstance(found.get("b64_json"), str):
        found["b64_json"] = f"{LIFTED}{next(numbers)}"
    return found


def answer(*entries: Any, **more: Any) -> dict[str, Any]:
    """An answer with these entries; text stands for an entry with that b64_json."""
    data = [{"b64_json": entry} if isinstance(entry, str) else entry for entry in entries]
    return {"created": 1, "data": data, **more}


def test_images_are_bytes_and_the_document_is_small() -> None:
    body = read(json.dumps(answer(B64, {"b64_json": B64, "revised_prompt": 'a "fox"'})).encode())
    assert [image.data for image in body.images] == [IMAGE, IMAGE]
    assert [image.text for image in body.images] == [None, None]
    assert body.document() == {
        "created": 1,
        "data": [{"b64_json": "lifted:0"}, {"b64_json": "lifted:1", "revised_prompt": 'a "fox"'}],
    }


SMALL = [
    b'{"data":[{"b64_json":"QUJDREVGRw=="},{"b64_json":"SEk="}],"usage":{"output_tokens":7}}',
    b'{\n  "data": [\n    {\n      "b64_json" : "QUJD\\/EVG+w==",\n      "url": null\n    }\n  ]\n}\n',
    b'{"data":[{"b64_json":"data:image\\/png;base64,QUJDREVGRw=="},{"b64_json":"QUJD\\nREVG\\r\\nRw=="}]}',
    b'{"data":[{"b64_json":null},{"b64_json":""},{"b64_json":"not base64 at all \\" \\\\"},{"b64_json":"QUI"}]}',
    b'{"a":"say \\"b64_json\\": \\"QUJD\\"","b64_json":"QUJD","c":["b64_json"],"d":{"b64_json":["QUJD"]}}',
    b'{"data":[{"b64_json":"QR==","revised_prompt":"\\u00e9\\ud83e\\udd8a"},{"b64_json":"QUJDRA==QUJD"}]}',
    b'{"data":[{"b64_json":"QUJDQ\\"UJD"},{"b64_json":"QUJD\\\\"},{"b64_json":"QUJDREVGRw=="}]}',
    '{"data":[{"b64_json":"QUJDé","revised_prompt":"ünïcode 🦊"}]}'.encode(),
]


@pytest.mark.parametrize("data", SMALL)
def test_a_cut_at_every_place(data: bytes) -> None:
    for place in range(len(data) + 1):
        agrees(read(*cut(data, [place])), data)


@pytest.mark.parametrize("data", SMALL)
def test_byte_by_byte_and_with_empty_pieces(data: bytes) -> None:
    agrees(read(*(data[i : i + 1] for i in range(len(data)))), data)
    agrees(read(b"", data, b"", b""), data)


@pytest.mark.parametrize("data", [SMALL[0], SMALL[2], SMALL[5]])
def test_two_cuts_at_every_pair_of_places(data: bytes) -> None:
    for first in range(0, len(data), 3):
        for second in range(first, len(data)):
            body = read(*cut(data, [first, second]))
            assert verbatim(body) == data
            assert [image.data for image in body.images] == [
                plain(text) for text in encoded_strings(json.loads(data))
            ]


def wrapped(text: str, width: int, end: str) -> str:
    """The text in lines."""
    return end.join(text[i : i + width] for i in range(0, len(text), width))


BYTES = st.binary(max_size=60)
ENCODED = BYTES.map(lambda data: base64.b64encode(data).decode())
VALUES = st.one_of(
    ENCODED,
    ENCODED.map(lambda text: text.rstrip("=")),
    ENCODED.map(lambda text: "data:image/webp;base64," + text),
    st.builds(wrapped, ENCODED, st.integers(1, 30), st.sampled_from(["\n", "\r\n", " ", "\t"])),
    ENCODED.map(lambda text: text + "!"),
    ENCODED.map(lambda text: text[: len(text) // 2] + "=" + text[len(text) // 2 :]),
    st.builds(str.__add__, ENCODED, ENCODED),
    st.text(alphabet='AQgw0/+=-_\\"\n é', max_size=20),
    st.none(),
    st.integers(),
)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {"b64_json": VALUES}, optional={"revised_prompt": st.text(max_size=12), "url": st.none()}
    ),
    st.text(max_size=20),
    st.just('{"b64_json":"QUJD"}'),
)
FORMS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"separators": (",", ":")},
        {"indent": 2},
        {"separators": (", ", " \t: \n")},
        {"ensure_ascii": False},
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A body of some speaker of the protocol, slashes escaped or not."""
    document = {"data": draw(st.lists(ENTRIES, max_size=4)), "note": draw(st.text(max_size=10))}
    text = json.dumps(document, **draw(FORMS))
    return (text.replace("/", "\\/") if draw(st.booleans()) else text).encode("utf-8", "surrogatepass")


@given(documents(), st.data())
def test_any_body_cut_anywhere_tells_what_plain_reading_tells(data: bytes, more: st.DataObject) -> None:
    places = more.draw(st.lists(st.integers(0, len(data)), max_size=8))
    agrees(read(*cut(data, places)), data)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_whatever_was_fed_can_be_given_back(rubbish: bytes, places: list[int]) -> None:
    data = b'{"data":[{"b64_json":"' + rubbish
    body = read(*cut(data, [min(place, len(data)) for place in places]))
    assert verbatim(body) == data


@given(documents(), st.integers(0, 400))
def test_a_body_that_ends_anywhere_can_be_given_back(data: bytes, end: int) -> None:
    assert verbatim(read(*cut(data[:end], [end // 2]))) == data[:end]


def test_a_large_image_in_the_pieces_of_a_network() -> None:
    noise = random.Random(5)
    image = noise.randbytes(3_000_001)
    data = json.dumps(answer(base64.b64encode(image).decode(), usage={"output_tokens": 7}), indent=1).encode()
    places = [noise.randrange(len(data)) for _ in range(60)]
    body = read(*cut(data, places))
    assert body.images[0].data == image
    assert len(body.skeleton) < 200
    assert verbatim(body) == data


@pytest.mark.parametrize(
    "text",
    [
        "QUJDREVGRw==",
        "QUJDREVGRw",
        " QUJD\nREVG\r\nRw== ",
        "data:image/png;base64,QUJDREVGRw==",
        "DATA:image/svg+xml;charset=utf-8;base64,QUJDREVGRw==",
        "QUJD\\nREVGRw==",
        "QUJDREVGRw\\u003d\\u003D",
    ],
)
def test_base64_of_many_spellings(text: str) -> None:
    assert decode_loosely(text.encode()) == b"ABCDEFG"
    assert read(b'{"b64_json":"' + text.encode() + b'"}').images[0].data == b"ABCDEFG"


def test_escaped_digits_of_base64() -> None:
    assert decode_loosely(b"\\/\\u002b\\/\\u002B") == base64.b64decode("/+/+")


@pytest.mark.parametrize(
    "text",
    ["<html>", "QUJD*", "data:image/png;base64,?", "QUJDR===", "é", "QUJDdata:image/png;base64,QUJD", "\\"],
)
def test_what_is_not_base64(text: str) -> None:
    assert decode_loosely(text.encode()) is None


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"5", b'"b64_json"'])
def test_bodies_without_images(data: bytes) -> None:
    body = read(data)
    assert (body.images, verbatim(body)) == ((), data)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b'{"data":[', b'{"b64_json":"QUJD', b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"9" * 5000],
)
def test_what_is_not_json_says_so(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(data).document()


def test_more_bytes_than_allowed_are_refused_at_once() -> None:
    lifter = ImageLifter(100)
    lifter.feed(b"x" * 100)
    with pytest.raises(BodyTooLarge, match="more than 100 bytes"):
        lifter.feed(b"x")


def test_a_text_of_the_beginning_for_messages() -> None:
    assert read(b"<h1>\xff</h1>" + b"x" * 50_000).text(limit=10) == "<h1>\ufffd</h1>"


def test_a_hundred_thousand_tiny_images_and_a_megabyte_of_spaces_take_no_longer_than_their_length() -> None:
    many = b'{"data":[' + b",".join([b'{"b64_json":"QUJD"}'] * 100_000) + b"]}"
    body = read(*cut(many, range(0, len(many), 50_000)))
    assert len(body.images) == 100_000
    assert verbatim(body) == many
    blank = read(b'{"b64_json":"' + b" " * 1_000_000 + b'!"}')
    assert blank.images[0].data is None


def test_a_document_of_more_values_than_an_answer_can_have_is_not_parsed() -> None:
    lifter = ImageLifter(2**24)
    lifter.feed(b"[" + b"{}," * MAX_VALUES + b"{}]")
    with pytest.raises(ValueError, match="values"):
        lifter.finish().document()


def test_a_long_text_with_few_values_is_parsed() -> None:
    lifter = ImageLifter(2**24)
    lifter.feed(b'{"text": "' + b"word " * MAX_VALUES + b'"}')
    assert list(lifter.finish().document()) == ["text"]

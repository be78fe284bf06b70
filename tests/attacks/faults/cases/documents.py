"""Answers under 200 whose document is wrong or unusual."""

from __future__ import annotations

from dataclasses import replace

from tests.attacks.faults.expectation import (
    BAD_CONTENT,
    BAD_CONTENT_LOST,
    KEPT_GATEWAY,
    LOST,
    MODERATED,
    SERVER_ERROR,
    SUCCESS,
    Fault,
    after,
    grouped,
)
from tests.attacks.faults.marker import write

UNKNOWN_ERROR = (
    "evidence: an error document under 200 that is none of the others: parked as gateway, its text told"
)
UNUSABLE = "evidence: 200 whole, content unusable: paid, quarantine, row failed"
KEPT = "G2: a response that was received is kept as an image"
TOLERATED = "missing created, usage, revised_prompt; null fields"
WRITTEN = "data-URI prefix, wrapped base64: G2, kept as an image"


def _body(kind: str) -> str:
    return write("body", kind=kind)


UNREADABLE = (
    *(
        Fault(f"body_{kind}", does, _body(kind), (BAD_CONTENT,), UNUSABLE)
        for kind, does in (
            ("invalid_json", "a document that ends in nonsense"),
            ("python_repr", "a Python dict instead of JSON"),
            ("number", "a JSON number"),
            ("null", "JSON null"),
            ("string", "a JSON string"),
            ("deep", "200,000 open brackets"),
            ("deep_valid", "50,000 nested lists"),
            ("no_data", "no `data`"),
            ("data_null", "`data` null"),
            ("data_text", "`data` a string"),
            ("data_number", "`data` a number"),
            ("data_empty", "`data` empty"),
            ("data_of_nulls", "`data` [null]"),
            ("data_of_numbers", "`data` of numbers"),
            ("data_of_lists", "`data` of lists"),
            ("item_empty", "an item without fields"),
            ("item_nulls", "an item of nulls"),
            ("b64_null", "b64_json null"),
            ("b64_number", "b64_json a number"),
            ("b64_list", "b64_json a list"),
            ("b64_empty", "b64_json empty: zero bytes"),
            ("b64_prefix_only", "a data URI without data"),
            ("b64_invalid", "b64_json that is no base64"),
            ("url_null", "url null"),
            ("url_empty", "url empty"),
            ("url_number", "url a number"),
            ("url_object", "url an object"),
        )
    ),
    Fault(
        "body_data_of_texts", "`data` of words", _body("data_of_texts"), (BAD_CONTENT_LOST, LOST), UNUSABLE
    ),
    *(
        Fault(f"body_{kind}", does, _body(kind), (BAD_CONTENT_LOST,), UNUSABLE)
        for kind, does in (
            ("nothing", "an empty body"),
            ("spaces", "white space only"),
            ("url_spaces", "url of spaces"),
        )
    ),
    Fault(
        "body_leaked_key",
        "no image, and the key in the document",
        _body("leaked_key"),
        (BAD_CONTENT_LOST,),
        "quarantine is verbatim but for the key; G14",
    ),
)

ERRORS = (
    *(
        Fault(f"body_{kind}", does, _body(kind), (KEPT_GATEWAY,), UNKNOWN_ERROR)
        for kind, does in (
            ("error_200", "a server error under 200"),
            ("error_text_200", '{"error": "text"} under 200'),
            ("upstream_200", "blanks to keep the line alive, then an error"),
        )
    ),
    Fault(
        "body_html",
        "a page under 200, from a service that has answered others",
        _body("html"),
        (replace(KEPT_GATEWAY, requests=(1, 3)),),
        "evidence: HTML bodies later on: maybe billed, ambiguous",
    ),
    Fault(
        "body_rate_limit_200",
        "a rate limit under 200, once",
        write("body", kind="rate_limit_200", times=1, paid=0),
        (after(2),),
        "evidence: a rate limit in words or code under any status, also 200: wait, retry",
    ),
    Fault(
        "body_code_msg_200",
        '{"code": 500, "msg": ...} under 200',
        write("body", kind="code_msg_200", paid=0),
        (SERVER_ERROR,),
        "an error document under 200 is classified as under its own status",
    ),
    *(
        Fault(f"body_{kind}", does, _body(kind), (MODERATED,), "refusals in every service's words")
        for kind, does in (
            ("slot_refused", "an empty slot that the service's moderation withholds"),
            ("refused_in_words", "a sentence that declines to draw"),
        )
    ),
)

PLACES = (
    Fault("body_list", "the document within a JSON list", _body("list"), (SUCCESS, BAD_CONTENT), KEPT),
    *(
        Fault(f"body_{kind}", does, _body(kind), (SUCCESS,), KEPT)
        for kind, does in (
            ("stream", "a stream of events, although none was asked for"),
            ("in_words", "a data URL in the text of a chat"),
            ("of_response", "an image_generation_call that looks like a task"),
            ("inline", "inlineData of a language model"),
            ("artifacts", "artifacts[].base64"),
            ("predictions", "predictions[].bytesBase64Encoded"),
            ("raw_image", "the bytes of the image alone"),
        )
    ),
)

UNUSUAL = (
    *(
        Fault(f"body_{kind}", does, _body(kind), (SUCCESS, BAD_CONTENT), KEPT)
        for kind, does in (
            ("bom", "a byte order mark before the document"),
            ("utf16", "the document in UTF-16"),
            ("key_twice", "`data` twice, first null"),
            ("escaped_key", r"the key b64_json written with a \u escape"),
        )
    ),
    *(
        Fault(f"body_{kind}", does, _body(kind), (SUCCESS,), TOLERATED)
        for kind, does in (
            ("padded", "5,000 line ends before and after"),
            ("error_null", '"error": null beside good data'),
            ("no_created", "no `created`"),
            ("no_usage", "no `usage`"),
            ("no_extras", "`data` alone"),
            ("nulls", "created, usage, size, background null"),
            ("created_text", "`created` a string"),
            ("created_float", "`created` a float"),
            ("created_vast", "`created` 10^30"),
            ("created_negative", "`created` negative"),
            ("created_true", "`created` true"),
            ("usage_text", "`usage` a string"),
            ("usage_list", "`usage` a list"),
            ("usage_vast", "token counts beyond 64 bits"),
            ("usage_negative", "token counts below zero"),
            ("usage_nulls", "token counts null"),
            ("usage_floats", "token counts as float and string"),
            ("extra_keys", "unknown keys, 10 kB of them"),
        )
    ),
    Fault(
        "body_moderation_url",
        "the safety error under 200, url asked",
        _body("moderation_200"),
        (MODERATED,),
        "moderation at 200",
        fields={"response_format": "url"},
    ),
)

ENCODINGS = (
    *(
        Fault(f"b64_{kind}", does, _body(kind), (SUCCESS,), WRITTEN)
        for kind, does in (
            ("escaped_slashes", r"every / written \/"),
            ("escaped_letters", r"+ and A written as \u escapes"),
            ("wrapped", "lines of 76"),
            ("wrapped_crlf", "lines of 64, CRLF"),
            ("spaced", "spaces and a tab"),
            ("data_uri", "data:image/png;base64,"),
            ("data_uri_odd", "data:image/png;charset=utf-8;base64, and a space"),
            ("data_uri_escaped", r"a data URI with \/"),
        )
    ),
    *(
        Fault(f"b64_{kind}", does, _body(kind), (SUCCESS, BAD_CONTENT), KEPT)
        for kind, does in (
            ("no_padding", "no ="),
            ("urlsafe", "the URL-safe alphabet"),
            ("extra_padding", "too many ="),
            ("raw_control", "a raw line end inside the JSON string"),
        )
    ),
    Fault("b64_bad_letter", "an asterisk in the middle", _body("bad_letter"), (BAD_CONTENT,), UNUSABLE),
    Fault("b64_one_less", "one letter missing", _body("one_less"), (BAD_CONTENT,), UNUSABLE),
)

FAULTS = (
    *grouped("unusable document", UNREADABLE, response_format="b64_json"),
    *grouped("error under 200", ERRORS, response_format="b64_json"),
    *grouped("place of an image", PLACES, response_format="b64_json"),
    *grouped("unusual document", UNUSUAL, response_format="b64_json"),
    *grouped("base64", ENCODINGS, response_format="b64_json"),
)

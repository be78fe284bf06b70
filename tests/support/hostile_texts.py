"""Texts that would run, break out or fetch something if a page took them for more than text. Each sets `window.ran`."""

from __future__ import annotations

_RUN = "window.ran=1"
_TAGS = (
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<!--<script>{_RUN}</script>-->",
    f"--><script>{_RUN}</script>",
    f"]]><script>{_RUN}</script>",
    f"</title><script>{_RUN}</script>",
    f"</style><script>{_RUN}</script>",
    f"</textarea><script>{_RUN}</script>",
    f"</noscript><script>{_RUN}</script>",
    f"<ScRiPt>{_RUN}</sCrIpT>",
    f"<script/x>{_RUN}</script>",
    f"<scr<script>ipt>{_RUN}</script>",
    '<script src="http://127.0.0.1:9/x.js"></script>',
    f"<img src=x onerror={_RUN}>",
    f'"><img src=x onerror="{_RUN}">',
    f"'><img src=x onerror='{_RUN}'>",
    f"`><img src=x onerror=`{_RUN}`>",
    '<img src="http://127.0.0.1:9/x.png">',
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<body onload={_RUN}>",
    f'<iframe src="javascript:parent.{_RUN}"></iframe>',
    f'<iframe srcdoc="<script>parent.{_RUN}</script>"></iframe>',
    f'<object data="javascript:{_RUN}"></object>',
    f'<embed src="javascript:{_RUN}">',
    f'<a href="javascript:{_RUN}">x</a>',
    f"<details open ontoggle={_RUN}>",
    f"<input autofocus onfocus={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<marquee onstart={_RUN}>",
    f'<math><mi xlink:href="javascript:{_RUN}">x</mi></math>',
    f'<meta http-equiv="refresh" content="0;url=javascript:{_RUN}">',
    '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/">',
    '<base href="http://127.0.0.1:9/">',
    '<link rel="stylesheet" href="http://127.0.0.1:9/x.css">',
    f'<form action="javascript:{_RUN}"><button autofocus>x</button></form>',
    "<style>*{background:url(http://127.0.0.1:9/)}</style>",
    f"<template><script>{_RUN}</script></template>",
    f'<noscript><p title="</noscript><img src=x onerror={_RUN}>">',
)
_SCRIPT_DATA = (
    f'"));{_RUN};//',
    f"'));{_RUN};//",
    f"`${{{_RUN}}}`",
    f'\\"));{_RUN};//',
    f"\u2028{_RUN}//",
    f"\u2029{_RUN}//",
    f"*/{_RUN}/*",
    f"${{{_RUN}}}",
    f"{{{{constructor.constructor('{_RUN}')()}}}}",
    f"javascript:{_RUN}",
    f"url(javascript:{_RUN})",
    f"data:text/html,<script>{_RUN}</script>",
    "__proto__",
    "constructor",
    "hasOwnProperty",
)
_OTHERS = (
    "=cmd|' /C calc'!A0",
    "\u202ereversed\u202c",
    "&lt;script&gt;&#60;script&#62;&amp;",
    "../../../../etc/passwd",
    "%3Cscript%3E%00",
)
HOSTILE_TEXTS = _TAGS + _SCRIPT_DATA + _OTHERS
"""Sixty of them."""
assert len(HOSTILE_TEXTS) == 60

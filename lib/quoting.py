"""Others' words in our messages: one short line, without the key, an address, or a row's words."""

import html
import json
import re

from lib.errors import masked

MOST_READ = 2000  # characters of a text that are looked at; cleaning more could cost seconds
MOST_TOLD = 300
ADDRESS = re.compile(r"[^\s@<>\"']{1,64}@[\w.-]+")
SIGNATURE = re.compile(r"\?\S*=\S*")  # an object store's address carries one
JSON_BEGINS = re.compile(r"[{\[]\s*[\"'{\[]")
QUOTATION = re.compile(r"(?<!\w)(?P<mark>[\"'`]).*?(?:(?P=mark)(?!\w)|$)", re.DOTALL)
PLAIN_WORD = re.compile(r"[\w.:$-]{1,40}")
UNSEEN = re.compile(r"<(script|style)\b.*?(</\1>|$)|<[^>]*(>|$)", re.DOTALL | re.IGNORECASE)


class Words:
    """Knows the key, so as never to repeat it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def clean(self, text: str) -> str:
        """The text, fit for logs and errors.

        Only its beginning counts, so it costs the same however long it is.
        """
        return self._tidy(self._beginning(text))

    def of_a_query(self, text: str, sent: str) -> str:
        """A refusal of a query.

        What it quotes is kept where we said it ourselves, or it is one plain word.
        """

        def kept(quotation: re.Match[str]) -> str:
            inner = quotation[0].strip(quotation["mark"])
            ours = json.dumps(inner)[1:-1] in sent or PLAIN_WORD.fullmatch(inner)
            return quotation[0] if ours else "..."

        return self._tidy(QUOTATION.sub(kept, self._beginning(text)))

    def of_an_insert(self, text: str) -> str:
        """A refusal of an insert.

        What it quotes is left out: it may be the event, or the row it was merged into.
        """
        text = self._beginning(text)
        if embedded := JSON_BEGINS.search(text):
            end = max(text.rfind("}"), text.rfind("]"), embedded.start()) + 1
            rest = text[end:] if end > embedded.end() else ""  # without an end it was cut
            text = f"{text[: embedded.start()]}...{rest}"
        return self._tidy(QUOTATION.sub("...", text))

    def of_a_page(self, content: bytes) -> str:
        """What a web page says to its reader, such as a hotel's; nothing for what is no page."""
        text = content[: 4 * MOST_READ].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        if not re.match(r"<(!doctype|html|head|body|\?xml)\b", text, re.IGNORECASE):
            return ""
        return self.clean(html.unescape(UNSEEN.sub(" ", self._beginning(text))))[:100]

    def _beginning(self, text: str) -> str:
        """The first MOST_READ characters, without the key, also where the cut went through it."""
        start = text[:MOST_READ]
        cut = max((n for n in range(1, len(self._key)) if start.endswith(self._key[:n])), default=0)
        if cut and len(text) > MOST_READ:
            start = start[:-cut]
        return start.replace(self._key, "***")

    def _tidy(self, text: str) -> str:
        text = SIGNATURE.sub("?...", ADDRESS.sub("<e-mail>", masked(text)))
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MOST_TOLD]

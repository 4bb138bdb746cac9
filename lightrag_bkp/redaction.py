"""Texts of others without our key: whoever gets a key may say it back, and what he says is shown and stored."""

import base64
from urllib.parse import quote

_HIDDEN = "[key]"
_SHORTEST = 4
"""Shorter ones guard nothing, and stand in every text."""
_SHORTEST_BEGINNING = 8


def without_key(text: str, key: str | None) -> str:
    """A text with [key] where the key stands: as it is, URL-encoded, in hexadecimal digits or in base64; and in place
    of its beginning where the text was cut off within it.
    """
    if key is None or len(key) < _SHORTEST:
        return text
    for form in sorted(_forms(key), key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
        for length in range(len(form) - 1, _SHORTEST_BEGINNING - 1, -1):
            if text.endswith(form[:length]):
                text = text[:-length] + _HIDDEN
                break
    return text


def _forms(key: str) -> set[str]:
    raw = key.encode("utf-8", "surrogatepass")
    forms = {key, quote(raw, safe=""), quote(raw, safe="").lower(), raw.hex(), raw.hex().upper()}
    for lead in range(3):  # what stands before it moves the digits it is written with
        whole = len(raw) + lead
        first, last = -(-lead * 8 // 6), whole * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(lead) + raw).decode()[first:last])
    return {form for form in forms if len(form) >= _SHORTEST}

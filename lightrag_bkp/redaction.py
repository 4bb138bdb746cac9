"""Texts of others without our key: whoever gets a key may say it back, and what he says is shown and stored."""

import base64
from urllib.parse import quote

_HIDDEN = "[key]"
_SHORTEST = 4
"""Shorter ones guard nothing, and stand in every text."""
_SHORTEST_BEGINNING = 8


class Redactor:
    """Hides one key in any number of texts; what to look for is worked out once."""

    def __init__(self, key: str | None) -> None:
        forms = set() if key is None or len(key) < _SHORTEST else _forms(key)
        self._forms = sorted(forms, key=len, reverse=True)
        self._beginnings = {form[:_SHORTEST_BEGINNING] for form in forms}

    def __call__(self, text: str) -> str:
        """A text with [key] where the key stands: as it is, URL-encoded, in hexadecimal digits or in base64; and in
        place of its beginning where the text was cut off within it.
        """
        if not self._may_stand_in(text):
            return text
        for form in self._forms:
            text = text.replace(form, _HIDDEN)
            for length in range(len(form) - 1, _SHORTEST_BEGINNING - 1, -1):
                if text.endswith(form[:length]):
                    text = text[:-length] + _HIDDEN
                    break
        return text

    def in_each(self, *texts: str) -> tuple[str, ...]:
        """Several texts, each as a call leaves it; looked at together, as nearly none holds the key."""
        return tuple(map(self, texts)) if self._may_stand_in("\n".join(texts)) else texts

    def _may_stand_in(self, text: str) -> bool:
        return any(beginning in text for beginning in self._beginnings)


def without_key(text: str, key: str | None) -> str:
    """One text as a `Redactor` leaves it."""
    return Redactor(key)(text)


def _forms(key: str) -> set[str]:
    raw = key.encode("utf-8", "surrogatepass")
    forms = {key, quote(raw, safe=""), quote(raw, safe="").lower(), raw.hex(), raw.hex().upper()}
    for lead in range(3):  # what stands before it moves the digits it is written with
        whole = len(raw) + lead
        first, last = -(-lead * 8 // 6), whole * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(lead) + raw).decode()[first:last])
    return {form for form in forms if len(form) >= _SHORTEST}

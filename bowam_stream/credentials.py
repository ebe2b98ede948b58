"""What must never be seen of an address: who may use it. Needs next to nothing, since it runs first of all."""

import re

_CREDENTIALS = re.compile(r"(?<=:/)(/?)\S*@")  # pathlib makes rtsp:/user:pw@host of it
_SECRET_PARAMETER = re.compile(r"(?i)([?&;](?:[\w.-]*(?:pass|pwd|token|secret|key|auth|user|login)[\w.-]*)=)[^&;#\s]*")


def redact(text: str) -> str:
    """`text` with every credential in its addresses replaced by `***`.

    Everything up to the last `@` of a word goes: passwords hold slashes and at signs, and a path that loses its
    beginning is the smaller harm. Values of telling query parameters (`?user=...&password=...`) go as well.
    """
    return _SECRET_PARAMETER.sub(r"\1***", _CREDENTIALS.sub(r"\1***@", text))

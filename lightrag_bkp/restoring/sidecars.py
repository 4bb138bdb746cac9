"""Where a graph's parsed documents lie: the one thing in LightRAG's files that is an absolute path.

`full_docs` names the directory of each parsed document as "file:///…/__parsed__/<file>.parsed/". When the uploads come
back elsewhere, what stands before `/__parsed__/` has to change. Every other byte stays: the text is not parsed and
written anew but replaced where it stands.
"""

import json
import os
import re
from urllib.parse import quote

from ..sources.names import FULL_DOCS
from ..sources.trees import sync_directory

_PARSED = "/__parsed__/"
_MEMBER = re.compile(rb'("sidecar_location"\s*:\s*)("(?:[^"\\]|\\.)*")')
"""The member and its value. Inside a string of JSON the quotes of a name are escaped, so that no text can look like
it."""


def rewrite(directory: str, input_root: str) -> int:
    """Lets `full_docs` in a directory name parsed documents below `input_root`; makes the change durable.

    Args:
        directory: where the file lies; it may be missing.
        input_root: the INPUT_DIR of the workspace, absolute.

    Returns:
        How many locations changed.
    """
    path = os.path.join(directory, FULL_DOCS)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0
    changed, beside = 0, path + ".sidecars"
    with open(path, "rb") as old, open(beside, "xb") as new:
        for line in old:  # LightRAG writes one member a line
            text, count = _replaced(line, input_root)
            changed += count
            new.write(text)
        new.flush()
        os.fchmod(new.fileno(), found.st_mode & 0o7777)
        os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(new.fileno())
    if changed:
        os.replace(beside, path)
    else:
        os.unlink(beside)
    sync_directory(directory)
    return changed


def _replaced(line: bytes, input_root: str) -> tuple[bytes, int]:
    changed = 0

    def replace(member: re.Match[bytes]) -> bytes:
        nonlocal changed
        location = json.loads(member[2])
        before, parsed, rest = location.rpartition(_PARSED)
        moved = f"file://{quote(os.fsencode(input_root.rstrip('/')), safe='/')}{parsed}{rest}"
        if not parsed or not before.startswith("file://") or moved == location:
            return member[0]
        changed += 1
        return member[1] + json.dumps(moved, ensure_ascii=False).encode()

    return (_MEMBER.sub(replace, line) if b'"sidecar_location"' in line else line), changed

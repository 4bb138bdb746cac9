"""Directories with everything a file system allows, and comparing two of them to the last bit."""

import os
import stat
from pathlib import Path

Fingerprint = dict[bytes, tuple[str, int, int, bytes]]


def fingerprint(directory: Path) -> Fingerprint:
    """Every name below `directory` -> (type, mode, mtime in ns, bytes or link text); times of links are left out."""
    root = os.fsencode(directory)
    found: Fingerprint = {}
    for parent, children, files in os.walk(root):
        for name in (*children, *files):
            path = os.path.join(parent, name)
            found[os.path.relpath(path, root)] = _describe(path)
    return found


def write_odd_tree(directory: Path) -> Path:
    """Fills `directory` with odd names, modes, times, links, empty files and directories, and one of several chunks."""
    root = os.fsencode(directory)
    os.makedirs(root, exist_ok=True)
    contents = {
        b"empty": b"",
        b"name with\nnewline": b"1",
        b"not utf-8 \xff\xfe": b"2",
        "ünïcödé".encode(): b"3",
        b"-rf": b"4",
        b"big": os.urandom(700_000),
        b"zeros": bytes(300_000),
        b"/".join([b"deep"] * 20 + [b"leaf"]): b"5",
        b"sub/" + b"x" * 255: b"6",
    }
    for name, content in contents.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    os.mkdir(os.path.join(root, b"empty directory"))
    os.symlink(b"/etc/passwd", os.path.join(root, b"link out"))
    os.symlink(b"nowhere", os.path.join(root, b"sub/dangling"))
    os.symlink(b"sub", os.path.join(root, b"link to directory"))
    os.chmod(os.path.join(root, b"empty"), 0o600)
    os.chmod(os.path.join(root, b"big"), 0o4755)
    os.utime(os.path.join(root, b"big"), ns=(1, 1_234_567_890_123_456_789))
    os.utime(os.path.join(root, b"empty directory"), ns=(1, 987_654_321_000_000_001))
    os.chmod(os.path.join(root, b"sub"), 0o750)
    return directory


def _describe(path: bytes) -> tuple[str, int, int, bytes]:
    found = os.lstat(path)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return "link", 0, 0, os.readlink(path)
    if stat.S_ISDIR(found.st_mode):
        return "directory", mode, found.st_mtime_ns, b""
    with open(path, "rb") as file:
        return "file", mode, found.st_mtime_ns, file.read()

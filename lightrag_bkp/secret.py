"""What opens sealed repositories: a passphrase or a key file, named here and read where it is needed.

A secret is never an argument of the program, never logged and never part of a `repr`. A key file holds the master key
itself: 32 bytes, or the text of a recovery kit (`kit`). Whoever can read it can read every snapshot, so it must be its
owner's alone (mode 0600); a passphrase file is often mounted by an orchestrator, which chooses its mode, so one that
anybody can read is warned of and used.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .arguments import check_path
from .errors import ConfigurationError, InvalidInputError

PASSPHRASE_VARIABLE = "LIGHTRAG_BACKUP_PASSPHRASE"
PASSPHRASE_FILE_VARIABLE = "LIGHTRAG_BACKUP_PASSPHRASE_FILE"
KEY_FILE_VARIABLE = "LIGHTRAG_BACKUP_KEY_FILE"

KEY_BYTES = 32
_LONGEST_FILE = 64 << 10
_MARK = "lrbkey1"
_CHECK_DIGITS = 8


@dataclass(frozen=True)
class Secret:
    """A passphrase, or the place of one, or of a key file; `origin` says who named it."""

    origin: str
    path: str | None = None
    is_key: bool = False
    value: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def passphrase(cls, value: str | bytes, origin: str = "passphrase") -> Self:
        """The passphrase itself, as text (UTF-8) or bytes."""
        if not isinstance(value, str | bytes):
            raise InvalidInputError(f"{origin} must be a text or bytes, and is a {type(value).__name__}")
        try:
            words = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        except UnicodeEncodeError:
            words = None  # that error holds the passphrase: ours is raised outside of it, so that no traceback shows it
        if words is None:
            raise InvalidInputError(
                f"the passphrase of {origin} has half a character in it (a lone surrogate): name it as bytes",
                target=origin,
            )
        return cls(origin, value=words)

    @classmethod
    def passphrase_file(cls, path: str | os.PathLike[str], origin: str = "passphrase_file") -> Self:
        """A file whose content is the passphrase; one line break at its end is not part of it."""
        return cls(origin, check_path(path, origin))

    @classmethod
    def key_file(cls, path: str | os.PathLike[str], origin: str = "key_file") -> Self:
        """A file of 32 bytes, or a recovery kit, that its owner alone can read."""
        return cls(origin, check_path(path, origin), is_key=True)

    def read(self) -> tuple[bytes | None, bytes | None]:
        """(passphrase, None) or (None, key).

        Raises:
            ConfigurationError: it is empty, cannot be read, is no key, or may be read by others.
        """
        if self.path is None:
            return self._worded(self.value or b""), None
        content = self._content(self.path)
        if self.is_key:
            return None, key_of(content, self.path)
        return self._worded(content.removesuffix(b"\n").removesuffix(b"\r")), None

    def concern(self) -> str | None:
        """A sentence when anybody on this host can read a passphrase file."""
        if self.path is None or self.is_key:
            return None
        return exposed(self.path, "passphrase file")

    def _worded(self, passphrase: bytes) -> bytes:
        if not passphrase:
            raise ConfigurationError(f"the passphrase of {self.origin} is empty: write one into it", target=self.origin)
        return passphrase

    def _content(self, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                if self.is_key and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise ConfigurationError(
                        f"the key file {path!r} ({self.origin}) may be read by others: chmod 600 it", target=path
                    )
                content = file.read(_LONGEST_FILE + 1)
        except OSError as error:
            raise ConfigurationError(
                f"{path!r} ({self.origin}) cannot be read: {error.strerror or error}", target=path
            ) from None
        if len(content) > _LONGEST_FILE:
            raise ConfigurationError(f"{path!r} ({self.origin}) is too long for a passphrase or key", target=path)
        return content


def exposed(path: str, what: str) -> str | None:
    """A sentence when anybody on this host can read a file with a secret in it."""
    try:
        open_to_all = stat.S_IMODE(os.stat(path).st_mode) & 0o007
    except OSError:
        return None  # reading it says so
    return f"the {what} {path!r} may be read by anybody on this host: chmod 600 it" if open_to_all else None


def named(
    passphrase: str | bytes | None,
    passphrase_file: str | os.PathLike[str] | None,
    key_file: str | os.PathLike[str] | None,
    names: tuple[str, str, str] = ("passphrase", "passphrase_file", "key_file"),
) -> Secret | None:
    """The one of the three that is there, or None.

    Raises:
        ConfigurationError: there is more than one.
    """
    values = (passphrase, passphrase_file, key_file)
    given = [name for name, value in zip(names, values, strict=True) if value is not None]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are both set: keep one of them", target=given[0])
    if passphrase is not None:
        return Secret.passphrase(passphrase, names[0])
    if passphrase_file is not None:
        return Secret.passphrase_file(passphrase_file, names[1])
    return None if key_file is None else Secret.key_file(key_file, names[2])


def from_environment(env: Mapping[str, str], directory: str | os.PathLike[str] = ".") -> Secret | None:
    """The secret the environment names; relative paths start at `directory`.

    Raises:
        ConfigurationError: it names more than one.
    """

    def path(variable: str) -> str | None:
        return os.path.join(directory, os.path.expanduser(env[variable])) if env.get(variable) else None

    names = (PASSPHRASE_VARIABLE, PASSPHRASE_FILE_VARIABLE, KEY_FILE_VARIABLE)
    return named(env.get(PASSPHRASE_VARIABLE) or None, path(names[1]), path(names[2]), names)


def kit(key: bytes, storage_path: str) -> str:
    """A recovery kit: the key as text that can be printed and typed in again, and that is a key file as it is."""
    digits = key.hex()
    groups = " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    return (
        f"# Recovery kit of lightrag-bkp for {storage_path!r}. Whoever has it can read all that is stored there.\n"
        "# Keep it away from the backups. To use it, save this text with mode 0600 and name it as --key-file.\n"
        f"{_MARK} {groups} {_check(key)}\n"
    )


def key_of(content: bytes, path: str) -> bytes:
    """The key in a key file.

    Raises:
        ConfigurationError: it holds none, or a mistyped one.
    """
    if len(content) == KEY_BYTES:
        return content
    lines = content.decode("ascii", "replace").splitlines()
    text = "".join("".join(line.split()) for line in lines if not line.lstrip().startswith("#")).lower()
    digits, check = text[len(_MARK) : -_CHECK_DIGITS], text[-_CHECK_DIGITS:]
    try:
        key = bytes.fromhex(digits) if text.startswith(_MARK) else b""
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{path!r} is no key file: it must hold 32 random bytes, or a recovery kit", target=path
        )
    if _check(key) != check:
        raise ConfigurationError(f"the recovery kit {path!r} has a typing error: its check does not fit", target=path)
    return key


def _check(key: bytes) -> str:
    import hashlib  # only for kits: it costs start-up time

    return hashlib.sha256(_MARK.encode() + key).hexdigest()[:_CHECK_DIGITS]

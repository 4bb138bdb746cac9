"""Secrets at rest: AES-256-GCM, and API keys under a key file of this host's own, bound to the target they belong to.

What is sealed is one byte 1, a random nonce of 12 bytes, the ciphertext and its tag of 16 bytes. Whoever has the
database alone reads none of the keys.
"""

import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import ConfigurationError
from ..secret import KEY_BYTES, Secret
from ..sources.trees import sync_directory
from .places import make_private

_FORMAT = b"\x01"
_NONCE_BYTES = 12


def seal(key: bytes, content: bytes, place: bytes) -> bytes:
    """Content that opens only with this key and in this place."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _FORMAT + nonce + AESGCM(key).encrypt(nonce, content, place)


def unseal(key: bytes, sealed: bytes, place: bytes) -> bytes:
    """Raises InvalidTag or ValueError for what was not sealed with this key and in this place."""
    if sealed[:1] != _FORMAT:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], place)


class KeyBox:
    """Seals and unseals with the key in a file, which is made at the first sealing, mode 0600."""

    def __init__(self, path: str) -> None:
        self._path = path

    def seal(self, api_key: str, target_id: str) -> bytes:
        """Raises ConfigurationError when the key file cannot be used or made."""
        if not os.path.exists(self._path):
            self._make()
        return seal(self._key(), api_key.encode(), target_id.encode())

    def unseal(self, sealed: bytes, target_id: str) -> str:
        """Raises ConfigurationError when the key file is missing or another one than it was."""
        try:
            return unseal(self._key(), sealed, target_id.encode()).decode()
        except (InvalidTag, ValueError):
            raise ConfigurationError(
                f"the key file {self._path!r} does not open the API key of target {target_id}: put back the one it was"
                " stored with, or remove the target and add it again",
                target=self._path,
            ) from None

    def _key(self) -> bytes:
        _, key = Secret.key_file(self._path, "of the replication targets").read()
        assert key is not None
        return key

    def _make(self) -> None:
        """Durable, and whole or not there: the loser of two makers takes the winner's."""
        directory = os.path.dirname(self._path)
        make_private(directory)
        made = f"{self._path}.{secrets.token_hex(8)}"
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, secrets.token_bytes(KEY_BYTES))
            os.fsync(fd)
            os.link(made, self._path)
        except FileExistsError:
            return
        finally:
            os.close(fd)
            os.unlink(made)
        sync_directory(directory)

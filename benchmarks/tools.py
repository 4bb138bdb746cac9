"""The backup tools, all with the same verbs, each as its manual begins: encrypted, otherwise its defaults.

A verb is the list of commands that do it; a tool without such a verb has none. Everything a tool keeps, its repository,
caches and keys, lies in `Tool.present`, so that copying that directory copies the tool's whole memory.
"""

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from .data import ROOT
from .measure import Command, apparent_bytes

_PASSPHRASE = "correct horse battery staple"
_GRAPH = "bench"


class Tool(ABC):
    """A tool with a repository of its own, and with saved states of it.

    Args:
        program: the executable.
        directory: all of this tool's files.
        source: what is backed up; always this path.
    """

    name: str
    peer = True
    """Whether its times are a bar for this program's."""

    def __init__(self, program: Path, directory: Path, source: Path) -> None:
        self.program = program
        self.directory = directory
        self.source = source
        self.present = directory / "present"
        self.repository = self.present / "repository"
        self.present.mkdir(parents=True)

    def save(self, state: str) -> None:
        """Keeps the present state under a name."""
        _copy(self.present, self.directory / state)

    def load(self, state: str) -> None:
        """Replaces the present state by a fresh copy of a saved one."""
        shutil.rmtree(self.present)
        _copy(self.directory / state, self.present)

    def environment(self) -> dict[str, str]:
        """Variables for this tool's commands, beside those of this process."""
        return {}

    def version(self) -> str:
        """The tool's name and release, as it says itself."""
        words = [str(self.program), "--version"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        return said.split(" compiled with ")[0]

    def size(self) -> int:
        """Bytes in the repository. Caches, which can be made again, do not count for any tool."""
        return apparent_bytes(self.repository)

    @abstractmethod
    def init(self) -> list[Command]: ...

    @abstractmethod
    def backup(self, snapshot: str) -> list[Command]: ...

    @abstractmethod
    def restore(self, snapshot: str, target: Path) -> list[Command]: ...

    @abstractmethod
    def verify(self) -> list[Command]: ...

    @abstractmethod
    def prune(self, snapshot: str) -> list[Command]:
        """Drops all snapshots but the newest, `snapshot`, and frees their space."""

    def restored(self, target: Path) -> Path:
        """Where below `target` the files are after `restore`."""
        return target

    def _does(self, *words: object, cwd: Path | None = None) -> list[Command]:
        return [Command((str(self.program), *map(str, words)), cwd or self.present)]


class Ours(Tool):
    """This program, encrypting with a key file."""

    name = "lightrag-bkp"
    peer = False

    def environment(self) -> dict[str, str]:
        return {"LIGHTRAG_BACKUP_KEY_FILE": str(self.present / "key")}

    def size(self) -> int:
        return apparent_bytes(self.repository, without="cache")

    def version(self) -> str:
        from lightrag_bkp import __version__

        return f"{self.name} {__version__}"

    def init(self) -> list[Command]:
        key = self.present / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(32))
        return []

    def backup(self, snapshot: str) -> list[Command]:
        return self.does("snapshot", _GRAPH, self.source)

    def restore(self, snapshot: str, target: Path) -> list[Command]:
        return self.does("restore", _GRAPH, "latest", target, "--yes")

    def verify(self) -> list[Command]:
        return self.does("verify", _GRAPH, "--level", "digests")

    def prune(self, snapshot: str) -> list[Command]:
        return self.does("prune", _GRAPH, "--now", "--no-keep-days", "--keep-last", "1")

    def does(self, *words: object) -> list[Command]:
        """Any command of the program on this repository."""
        return self._does("-m", "lightrag_bkp.cli", "--storage", self.repository, *words, cwd=ROOT)


class Copy(Tool):
    """`cp -a`: no tool to keep backups with, but the floor every tool stands on."""

    name = "cp -a"
    peer = False

    def version(self) -> str:
        return super().version().replace("cp ", "cp -a, ")

    def init(self) -> list[Command]:
        self.repository.mkdir()
        return []

    def backup(self, snapshot: str) -> list[Command]:
        return self._does("-a", self.source, self.repository / snapshot)

    def restore(self, snapshot: str, target: Path) -> list[Command]:
        return self._does("-a", f"{self.repository / snapshot}/.", target)

    def verify(self) -> list[Command]:
        return []

    def prune(self, snapshot: str) -> list[Command]:
        others = [path for path in self.repository.iterdir() if path.name != snapshot]
        return [Command(("rm", "-rf", *map(str, others)), self.present)]


class Restic(Tool):
    name = "restic"

    def environment(self) -> dict[str, str]:
        return {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD": _PASSPHRASE,
            "RESTIC_CACHE_DIR": str(self.present / "cache"),
        }

    def version(self) -> str:
        said = subprocess.run([self.program, "version"], capture_output=True, text=True, check=True).stdout
        return said.split(" compiled with ")[0]

    def init(self) -> list[Command]:
        return self._does("init")

    def backup(self, snapshot: str) -> list[Command]:
        return self._does("backup", self.source)

    def restore(self, snapshot: str, target: Path) -> list[Command]:
        return self._does("restore", "latest", "--target", target)

    def restored(self, target: Path) -> Path:
        return target / self.source.relative_to("/")

    def verify(self) -> list[Command]:
        return self._does("check", "--read-data")

    def prune(self, snapshot: str) -> list[Command]:
        return self._does("forget", "--keep-last", 1, "--prune")


class Borg(Tool):
    name = "borg"

    def environment(self) -> dict[str, str]:
        return {
            "BORG_REPO": str(self.repository),
            "BORG_PASSPHRASE": _PASSPHRASE,
            "BORG_BASE_DIR": str(self.present / "base"),
        }

    def init(self) -> list[Command]:
        return self._does("init", "--encryption=repokey")

    def backup(self, snapshot: str) -> list[Command]:
        return self._does("create", f"::{snapshot}", self.source.name, cwd=self.source.parent)

    def restore(self, snapshot: str, target: Path) -> list[Command]:
        return self._does("extract", f"::{snapshot}", cwd=target)

    def restored(self, target: Path) -> Path:
        return target / self.source.name

    def verify(self) -> list[Command]:
        return self._does("check", "--verify-data")

    def prune(self, snapshot: str) -> list[Command]:
        return [*self._does("prune", "--keep-last", 1), *self._does("compact")]


class Rustic(Tool):
    name = "rustic"

    def environment(self) -> dict[str, str]:
        return {
            "RUSTIC_REPOSITORY": str(self.repository),
            "RUSTIC_PASSWORD": _PASSPHRASE,
            "RUSTIC_CACHE_DIR": str(self.present / "cache"),
        }

    def init(self) -> list[Command]:
        return self._does("init")

    def backup(self, snapshot: str) -> list[Command]:
        return self._does("backup", self.source)

    def restore(self, snapshot: str, target: Path) -> list[Command]:
        return self._does("restore", f"latest:{self.source}", target)

    def verify(self) -> list[Command]:
        return self._does("check", "--read-data")

    def prune(self, snapshot: str) -> list[Command]:
        return self._does("forget", "--keep-last", 1, "--prune", "--instant-delete")


KINDS: dict[str, type[Tool]] = {"ours": Ours, "cp": Copy, "restic": Restic, "borg": Borg, "rustic": Rustic}
"""Every tool by its name on the command line."""


def find(names: list[str], peers: Path, directory: Path, source: Path) -> list[Tool]:
    """The tools of these names that are there, each in a directory of its own below `directory`.

    Args:
        names: some of `KINDS`.
        peers: where `benchmarks/peers` put what the system does not have; looked at first.
        directory: for their files; emptied.
        source: the path they back up.
    """
    shutil.rmtree(directory, ignore_errors=True)
    programs = {name: _program(name, peers) for name in names}
    return [KINDS[name](program, directory / name, source) for name, program in programs.items() if program]


def _program(name: str, peers: Path) -> Path | None:
    if name == "ours":
        return Path(sys.executable)
    found = shutil.which(name, path=os.pathsep.join([str(peers / name / "bin"), *os.get_exec_path()]))
    return Path(found).absolute() if found else None


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)

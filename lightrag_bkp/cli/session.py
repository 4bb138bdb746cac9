"""What a command works with: the program's options, the graphs they lead to, and the ways to run work and to answer.

An answer is one JSON document with `--json`, and lines of text without. Errors go to stderr as one sentence each, with
`--json` into the document.
"""

import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InvalidInputError, LightragBkpError, NotFoundError, OperationCancelled
from . import output
from .failures import Exit, Failure, Interrupted, failure_of
from .place import Goal, goal_here, goal_there, key_of
from .text import shown

if TYPE_CHECKING:
    from ..backup import BackupManager
    from ..client.connection import Connection
    from ..keyring import Keyring
    from ..models import ProgressCallback, RetentionPolicy
    from ..replication import ReplicationManager
    from .parts import Graph, Manager, Recovery, Replication

T = TypeVar("T")
Document = Mapping[str, Any]

_SIGPIPE = 13


@dataclass
class Session:
    """One run of the program.

    Attributes:
        storage, passphrase_file, key_file, server, server_key_file, server_ca_file: what the options of these names
            say, or None.
        server_allow_http, json, quiet, verbose: the options of these names.
        failures: of single graphs, when a command goes on with the next one.
        warnings: of single graphs, which stop nothing.
    """

    program: str
    storage: str | None = None
    passphrase_file: str | None = None
    key_file: str | None = None
    server: str | None = None
    server_key_file: str | None = None
    server_ca_file: str | None = None
    server_allow_http: bool = False
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    failures: list[tuple[str, Failure]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def adopt(self, options: Mapping[str, str | bool | None]) -> None:
        """Takes options in; what is said first stays unless it is said again."""
        log = bool(options["verbose"]) and not self.verbose
        for name, said in options.items():
            if said not in (None, False):
                setattr(self, name, said)
        if log:
            _log_to_stderr()

    # ---- where ----

    @cached_property
    def connection(self) -> "Connection | None":
        """The server all work goes through, by option or environment; None: it is done here."""
        from ..config import REMOTE_VARIABLE

        url = os.environ.get(REMOTE_VARIABLE, "") if self.server is None else self.server
        of_here = {"--storage": self.storage, "--passphrase-file": self.passphrase_file, "--key-file": self.key_file}
        of_there = {"--server-key-file": self.server_key_file, "--server-ca-file": self.server_ca_file}
        strange = of_here if url else of_there
        said = next((name for name, value in strange.items() if value is not None), None)
        if said is not None:
            why = "is of this machine, and the work is a server's" if url else "is of a server, and none is named"
            raise InvalidInputError(f"{said} {why} (--server, {REMOTE_VARIABLE}): leave one of them out")
        if not url:
            return None
        from ..client.connection import Connection
        from ..sources.server_status import KEY_VARIABLE

        return Connection(
            url,
            key_of(self.server_key_file, "--server-key-file", KEY_VARIABLE),
            ca_file=self._named(self.server_ca_file, "--server-ca-file"),
            allow_http=self.server_allow_http,
        )

    def here(self) -> None:
        """Refuses a server: of what works on this machine alone."""
        if self.connection is not None:
            raise InvalidInputError(
                "this command works on this machine alone: leave --server out, or say --server '' where the environment"
                " names one"
            )

    def goal(self, known: "Graph", target_dir: str | None, workspace: str | None) -> Goal:
        """Where a restore goes to."""
        if self.connection is None:
            return goal_here(target_dir, workspace)
        return goal_there(self.connection.url, known.graph_id, target_dir, workspace)

    def concerns(self, storage_path: str, source_dir: str) -> list[str]:
        """What speaks against keeping snapshots of this directory there; of a server's nothing is known here."""
        if self.connection is not None:
            return []
        from ..place import concerns

        return [one.sentence for one in concerns(storage_path, source_dir)]

    # ---- graphs ----

    def manager(self, retention: "RetentionPolicy | None" = None, *, new: bool = False) -> "Manager":
        """The graphs of the server, or of the storage path, by option, environment or file.

        Args:
            retention: a policy in place of the configured one.
            new: whether the storage path may still have to be made.
        """
        if self.connection is not None:
            from ..client.graphs import RemoteManager

            return RemoteManager(self.connection, retention)
        return self.manager_here(retention, new=new)

    def manager_here(self, retention: "RetentionPolicy | None" = None, *, new: bool = False) -> "BackupManager":
        """As `manager`, of this machine alone."""
        from .. import presence
        from ..backup import BackupManager

        self.use_storage()
        manager = BackupManager(
            retention=retention,
            passphrase_file=self._named(self.passphrase_file, "--passphrase-file"),
            key_file=self._named(self.key_file, "--key-file"),
        )
        presence.require(manager.storage_path)
        if not new and not os.path.isdir(manager.storage_path):
            place = manager.storage_path
            raise NotFoundError(
                f"the storage path {place!r} is no directory: check --storage"
                if os.path.lexists(place)
                else f"nothing was backed up yet: the storage path {place!r} is not there; take a first snapshot, or"
                " check --storage",
                target=place,
            )
        if manager.keyring.concern is not None and not self.json:
            self.complain(f"warning: {manager.keyring.concern}")
        return manager

    def use_storage(self) -> None:
        """The option is the same setting as the variable, only stronger: all other settings hold as they do without.

        Raises:
            InvalidInputError: a server is named.
        """
        self.here()
        from ..arguments import check_path
        from ..config import STORAGE_VARIABLE

        if self.storage is not None:
            os.environ[STORAGE_VARIABLE] = check_path(self.storage, "--storage")

    @staticmethod
    def _named(path: str | None, option: str) -> str | None:
        from ..arguments import check_path

        return None if path is None else check_path(path, option)

    def graph(self, graph_id: str) -> "Graph":
        """A graph that is configured or has a repository."""
        return self.manager().require_graph(graph_id)

    def recovery(self, *, new: bool = False, replicated: bool = False) -> "Recovery":
        """The recovery points over those graphs; `new` as for `manager`.

        Args:
            replicated: whether it is to know the targets of copies, where any were ever registered; a server knows.
        """
        if self.connection is not None:
            from ..client.recovery import RemoteRecovery

            return RemoteRecovery(self.connection)
        from .. import state_place
        from ..recovery import DisasterRecoveryManager

        backup = self.manager_here(new=new)
        asked = replicated and not state_place.find().is_absent
        return DisasterRecoveryManager(backup, self.replication_here(backup.keyring) if asked else None)

    def replication(self, keyring: "Keyring | None" = None) -> "Replication":
        """The instances copies can go to; `keyring` opens what is sent."""
        if self.connection is not None:
            from ..client.replication import RemoteReplication

            return RemoteReplication(self.connection)
        return self.replication_here(keyring)

    def replication_here(self, keyring: "Keyring | None" = None) -> "ReplicationManager":
        """As `replication`, of this machine alone."""
        from ..replication import ReplicationManager

        self.use_storage()
        return ReplicationManager(keyring=keyring)

    def on_each(self, manager: "Manager", graph_id: str | None, work: "Callable[[Graph], T]") -> list[T]:
        """Does `work` on the graph of this id, or on all; of those one may fail, and the others get their turn."""
        if graph_id is not None:
            return [work(manager.require_graph(graph_id))]
        done, failed = [], []
        for name in manager.graph_ids():
            try:
                done.append(work(manager.require_graph(name)))
            except (LightragBkpError, OSError) as error:
                failed.append((name, failure_of(error)))
        self.note_all(failed)
        return done

    def note(self, graph_id: str, failure: Failure) -> None:
        """Keeps the failure of one graph for the answer."""
        self.note_all([(graph_id, failure)])

    def note_all(self, failures: list[tuple[str, Failure]]) -> None:
        """As `note`, for several: what is the matter with all of them alike is one line."""
        self.failures += failures
        if self.json:
            return
        alike: dict[str, list[str]] = {}
        for graph_id, failure in failures:
            alike.setdefault(failure.message.removeprefix(f"{graph_id}: "), []).append(graph_id)
        for said, graph_ids in alike.items():
            noun = "graph" if len(graph_ids) == 1 else "graphs"
            self.complain(f"{noun} {', '.join(graph_ids)}: {said}")

    def warn_of_log(self, known: "Graph", *, fail_damaged: bool = False) -> None:
        """Keeps for the answer what is wrong with a graph's log as a whole; with `fail_damaged` damage is a failure."""
        damage, alarm = known.log_damage(), known.log_alarm()
        if damage is not None and fail_damaged:
            self.note(known.graph_id, Failure(Exit.FAILED, "DAMAGED", damage, target=known.graph_id))
        for said in (None if fail_damaged else damage, alarm):
            if said is not None:
                self.warn(known.graph_id, said)

    def warn(self, graph_id: str, said: str) -> None:
        """Keeps for the answer what is wrong with one graph and stops nothing."""
        self.warnings.append((graph_id, said))
        if not self.json:
            self.complain(f"graph {graph_id}: warning: {said}")

    # ---- work ----

    def attempt(self, work: Callable[[], int | None]) -> int:
        """Does `work` and returns its exit code; says what went wrong when it raises."""
        try:
            code = work()
            output.flush()
            return code or Exit.DONE
        except BrokenPipeError:
            output.drop()
            return Exit.SIGNALLED + _SIGPIPE
        except output.Lost as lost:
            output.drop()
            self.complain(str(lost))
            return Exit.FAILED
        except (Exception, KeyboardInterrupt) as error:
            return self._fail(error)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine. A signal to end cancels it and waits until nothing is half-done.

        Raises:
            Interrupted: such a signal came.
        """
        import asyncio
        import gc
        import signal

        if not gc.isenabled():
            gc.freeze()  # what the start made, which the first search would go through
            gc.enable()
        caught: list[int] = []

        async def watched() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None

            def end(number: int) -> None:
                caught.append(number)
                task.cancel()

            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    loop.add_signal_handler(number, end, number)
            return await work

        outside = signal.getsignal(signal.SIGINT)
        try:
            return asyncio.run(watched())
        except (asyncio.CancelledError, OperationCancelled) as ended:
            said = str(ended) if self.connection is not None else ""  # what became of the work there
            raise Interrupted(caught[0] if caught else signal.SIGINT, said) from None
        finally:
            signal.signal(signal.SIGINT, outside)  # the loop leaves Python's own, which raises wherever it strikes

    @contextmanager
    def progress(self) -> Iterator["ProgressCallback | None"]:
        """A progress bar around work, on a terminal and unless `--quiet`."""
        from .progress import bar

        drawn = None if self.quiet else bar()
        try:
            yield drawn
        finally:
            if drawn is not None:
                drawn.close()

    # ---- answers ----

    def answer(self, document: Callable[[], Document], lines: Callable[[], Iterable[str]]) -> int:
        """Answers what was asked for. Returns the exit code: that of the first graph that failed, or 0."""
        if self.json:
            failed = [{"graph_id": graph_id, **failure.document()} for graph_id, failure in self.failures]
            warned = [{"graph_id": graph_id, "message": said} for graph_id, said in self.warnings]
            more = {**({"errors": failed} if failed else {}), **({"warnings": warned} if warned else {})}
            self._print_document({**document(), **more})
        else:
            output.write(f"{line}\n" for line in lines())
        return self.failures[0][1].exit_code if self.failures else Exit.DONE

    def close(self, document: Callable[[], Document], lines: Callable[[], Iterable[str]]) -> int:
        """As `answer`, for words that only confirm what was done: `--quiet` leaves them out."""
        return self.answer(document, lines if not self.quiet else lambda: ())

    def confirm(self, question: str) -> bool | None:
        """The answer of a user at a terminal; None when there is none to ask."""
        if self.json or not sys.stdin.isatty():
            return None
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _fail(self, error: BaseException) -> int:
        failure = failure_of(error)
        if failure.code == "INTERNAL" and self.verbose:
            import traceback

            traceback.print_exception(error)
        try:
            if self.json:
                self._print_document({"error": failure.document()})
            else:
                self.complain(failure.message)
            output.flush()
        except (output.Lost, BrokenPipeError):
            output.drop()
            if self.json:
                self.complain(failure.message)
        return failure.exit_code

    def complain(self, sentence: str) -> None:
        """One sentence on stderr."""
        print(f"{self.program}: {shown(sentence)}", file=sys.stderr)

    def flush(self) -> None:
        """Puts an answer out before work that has no end."""
        output.flush()

    def _print_document(self, document: Document) -> None:
        from .documents import written

        output.write(written(document))
        output.write("\n")


def _log_to_stderr() -> None:
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("lightrag_bkp")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

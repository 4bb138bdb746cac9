"""An application with the routes in a process of its own: `python -m support.application STORAGE GRAPH=DIRECTORY ...`.

Prints its port once it listens. What `started` yields ends with the block, also one that was killed meanwhile.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).parent.parent


@contextlib.contextmanager
def started(
    storage: Path, graphs: Mapping[str, Path], before: Sequence[str] = ()
) -> "Iterator[tuple[str, subprocess.Popen[str]]]":
    """Its address, and its process. `before`: the words of a command that runs it."""
    words = [*before, sys.executable, "-m", "support.application", str(storage)]
    words += [f"{name}={place}" for name, place in graphs.items()]
    with subprocess.Popen(words, cwd=TESTS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the application did not start"
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def main(storage: str, *graphs: str) -> None:
    """Serves these graphs until a signal comes."""
    import uvicorn

    from lightrag_bkp import BackupManager
    from support.web import application

    os.environ.pop("LIGHTRAG_BACKUP_CONFIG", None)
    manager = BackupManager(storage)
    for named in graphs:
        graph_id, _, place = named.partition("=")
        manager.register_graph(graph_id, place)
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(application(manager), lifespan="on", log_level="warning", ws="none"))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])

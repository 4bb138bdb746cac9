"""One graph: its snapshots taken, listed, verified, held, brought back and cleaned up."""

from .keeping import READERS_WAIT_S as READERS_WAIT_S
from .keeping import Keeping
from .known import LATEST as LATEST
from .returning import Returning
from .taking import Taking


class GraphBackup(Taking, Returning, Keeping):
    """Snapshots of one graph. Made by `BackupManager.register_graph` or `get_graph`.

    Attributes:
        graph_id: the graph's name.
        source_dir: LightRAG's working directory, or any other directory; None when only the repository is known.
        given_workspace: of LightRAG; None when nobody said, `workspace` is then the unnamed one.
        input_dir: LightRAG's INPUT_DIR, or None. rag: the running LightRAG of this process, or None.
        server_url: of a LightRAG server that has the graph open, or None.
        retention_days: given to new snapshots. retention: the policy of clean-ups.
    """

"""LightRAG's package with three more modules: `lightrag.backup`, `lightrag.replication` and `lightrag.recovery`.

    import lightrag_bkp.compat
    from lightrag.backup import BackupManager           # the class of lightrag_bkp.backup itself

Each has the public names of the module of this package that it stands for, which is loaded when it is first imported.
Nothing of LightRAG is loaded or changed here, and no module of its own is ever hidden: one that has such a name is
found before these, and importing this one says so.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

from .errors import ConfigurationError

MODULES = {f"lightrag.{name}": f"lightrag_bkp.{name}" for name in ("backup", "replication", "recovery")}
"""What is importable -> what it stands for."""


class CompatibilityError(ConfigurationError, ImportError):
    """LightRAG is not installed, or has a module of such a name itself."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules nobody else has found."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        original = importlib.import_module(MODULES[module.__name__])
        module.__doc__ = original.__doc__
        vars(module).update({name: getattr(original, name) for name in original.__all__}, __all__=original.__all__)


def _install() -> None:
    package = importlib.util.find_spec("lightrag")
    if package is None:
        raise CompatibilityError(
            f"{', '.join(MODULES)} belong to LightRAG, which is not installed here: pip install lightrag-hku, or import"
            f" {', '.join(MODULES.values())}",
            target="lightrag",
        )
    for name, original in MODULES.items():
        if importlib.machinery.PathFinder.find_spec(name, package.submodule_search_locations) is not None:
            raise CompatibilityError(
                f"this LightRAG has a module {name} of its own, which is left as it is: import {original} instead",
                target=name,
            )
    sys.meta_path.append(_Finder())  # the last one, so that whoever else finds such a module is asked first


_install()

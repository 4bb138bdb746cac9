"""Lets a LightRAG server start without the internet: tiktoken would download its tables, so every encoding is one token
per byte here.

Python imports this module at start when its directory is on PYTHONPATH.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any


class _TiktokenFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "tiktoken":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_replace(module: ModuleType) -> None:
            load(module)
            bytes_only = module.Encoding(
                "bytes", pat_str=r"[\s\S]", mergeable_ranks={bytes([n]): n for n in range(256)}, special_tokens={}
            )

            def any_encoding(*arguments: Any, **options: Any) -> Any:
                return bytes_only

            module.encoding_for_model = module.get_encoding = any_encoding  # type: ignore[attr-defined]

        spec.loader.exec_module = load_and_replace  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _TiktokenFinder())

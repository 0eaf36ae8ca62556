"""What is imported of PyTorch while handlers are installed sees PyTorch's own functions.

PyTorch imports much of itself when it is first needed: its compiler with the first step of an
optimizer. Tables that are made then, of functions that draw, are kept for the life of the process.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from ..patches import Patches


class LateImports(importlib.abc.MetaPathFinder):
    """Finds modules as they are found without it, and puts handlers off while one is imported.

    Args:
        within: the package whose modules these are.
        places: an owner, a name, the function that stood there, and its handler.
        then: what is to be done after a module of some name was imported.
    """

    def __init__(
        self,
        within: str,
        places: Sequence[tuple[Any, str, Any, Any]],
        then: Mapping[str, Callable[[], None]],
    ) -> None:
        self._prefix, self._places, self._then = f"{within}.", places, then
        self._lock = threading.RLock()
        self._depth, self._open = 0, False

    def install(self, patches: Patches) -> None:
        """Be asked first, from now on."""
        patches.call(self._put, True, False)

    def _put(self, there: bool) -> None:
        with self._lock:
            self._open = there
            if there:
                sys.meta_path.insert(0, self)
            else:
                sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """As the others find it."""
        if not name.startswith(self._prefix):
            return None
        for finder in [each for each in sys.meta_path if each is not self]:
            find = getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
                    self._follow(spec.loader)
                return spec
        return None

    def _follow(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # for this once
            with self._without_handlers():
                execute(module)
            with self._lock:
                if self._open and module.__name__ in self._then:
                    self._then[module.__name__]()

        loader.exec_module = exec_module

    @contextlib.contextmanager
    def _without_handlers(self) -> Iterator[None]:
        """Handlers are off. What another thread's run draws meanwhile, its generator tells of."""
        with self._lock:
            self._depth += 1
            self._put_all(handlers=False)
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if not self._depth:
                    self._put_all(handlers=True)

    def _put_all(self, handlers: bool) -> None:
        if self._open:  # or they were taken off for good in the meantime
            for owner, name, real, handler in self._places:
                setattr(owner, name, handler if handlers else real)

"""Modules of losses as they are installed, without the packages around them.

verl and OpenRLHF import Ray, DeepSpeed and vLLM before the first of their losses can be reached.
Those modules that are wanted need only PyTorch: they are imported from the installed files, and the
packages that they lie in are empty here.
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Options(types.SimpleNamespace):
    """Options by name, as a configuration that also has ``get``."""

    def get(self, name: str, default: Any = None) -> Any:
        """The option, or the default where there is none."""
        return getattr(self, name, default)


class ActorOptions(Options):
    """What verl calls an ActorConfig."""


class AlgorithmOptions(Options):
    """What verl calls an AlgoConfig."""


@functools.cache
def verl() -> Any:
    """The module ``verl.trainer.ppo.core_algos``: advantages, losses, penalties."""
    packages = ("verl", "verl.trainer", "verl.trainer.ppo", "verl.utils", "verl.workers")
    with _emptied("verl", packages) as empty:
        empty["verl.trainer.config"] = {"AlgoConfig": AlgorithmOptions}
        empty["verl.workers.config"] = {"ActorConfig": ActorOptions}
        # Of a package that is empty here, functions are asked for by the package's name.
        groups = importlib.import_module("verl.utils.groupwise")
        for name in ("as_torch_index", "group_mean_std"):
            setattr(sys.modules["verl.utils"], name, getattr(groups, name))
        return importlib.import_module("verl.trainer.ppo.core_algos")


@functools.cache
def openrlhf() -> tuple[Any, Any]:
    """The modules ``openrlhf.models.loss`` and ``openrlhf.models.utils``."""
    with _emptied("openrlhf", ("openrlhf", "openrlhf.models")) as empty:
        empty["deepspeed"] = {}
        return tuple(
            importlib.import_module(f"openrlhf.models.{name}") for name in ("loss", "utils")
        )


class _Empty(dict[str, dict[str, Any]]):
    """Modules that have nothing but these names, put into ``sys.modules`` as they are set."""

    def __setitem__(self, name: str, names: dict[str, Any]) -> None:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        vars(module).update(names)
        sys.modules[name] = module
        super().__setitem__(name, names)


@contextmanager
def _emptied(package: str, names: tuple[str, ...]) -> Iterator[_Empty]:
    """Empties packages while a module of theirs is imported; all of it is forgotten afterwards."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed here: see constraints/trainers.txt")
    before = dict(sys.modules)
    root = next(iter(found.submodule_search_locations)).removesuffix(package)
    empty = _Empty()
    try:
        for name in names:
            empty[name] = {"__path__": [root + name.replace(".", "/")]}
        yield empty
    finally:
        for name in [*sys.modules]:
            if name.partition(".")[0] in (package, "deepspeed") and name not in before:
                del sys.modules[name]

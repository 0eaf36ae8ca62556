"""Code that is sent to another process: by cloudpickle, with what it takes for granted there.

What is defined in ``__main__`` or in a notebook, or in a file that cannot be imported by its name
(a test, a file that was run), is sent as it is, with the globals that it uses. What is in a module
that can be imported is sent by its name, with its data (:mod:`.module_data`). All else of it must
be the same there.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from ..workers import cloudpickle
from .estimator import UserFunction
from .frameworks import FRAMEWORKS
from .module_data import module_data, module_data_placed


class NotSendable(GradproofError, TypeError):
    """An estimator that cannot be pickled, and so cannot be run by another process."""


def pack(code: UserFunction, most: int) -> np.ndarray:
    """All that another process needs to run some code, as bytes.

    Args:
        most: paths that may be run.

    Shape: (bytes,): an array, which workers of this machine read in shared memory.

    Raises:
        NotSendable: for what cannot be pickled, by its name.
    """
    pickler = cloudpickle()
    with _by_value(pickler):
        try:
            frameworks = [name for name in FRAMEWORKS if name in sys.modules]
            # The settings first: what comes after them may depend on them.
            data = module_data(_imported_by_name())
            both = pickler.dumps((frameworks, _settings())), pickler.dumps((code, most)), data
        except Exception as error:
            raise NotSendable(
                f"{_culprit(code, pickler.dumps)} cannot be sent to another process "
                f"({type(error).__name__}: {error}); make it within the estimator, or pass jobs=1"
            ) from error
    return np.frombuffer(pickler.dumps(both), np.uint8)


@contextlib.contextmanager
def unpacked(parcel: np.ndarray) -> Iterator[tuple[UserFunction, int]]:
    """What was packed, under the settings that it was packed under."""
    pickler = cloudpickle()
    settings, packed, data = pickler.loads(parcel.tobytes())
    frameworks, values = pickler.loads(settings)
    for name in frameworks:
        __import__(name)  # what is imported in a run draws unseen
    with contextlib.ExitStack() as stack:
        for name, value in values.items():
            read, write = SETTINGS[name]
            stack.callback(_restore_path if name == "sys" else write, read())
            write(value)
        unpacked_code = pickler.loads(packed)  # which imports the modules that it needs
        stack.enter_context(module_data_placed(data))
        yield unpacked_code


def _torch_type() -> Any:
    return sys.modules["torch"].get_default_dtype()


def _set_torch_type(value: Any) -> None:
    sys.modules["torch"].set_default_dtype(value)


def _jax_double() -> Any:
    return sys.modules["jax"].config.jax_enable_x64


def _set_jax_double(value: Any) -> None:
    if value != _jax_double():
        sys.modules["jax"].config.update("jax_enable_x64", value)


def _set_path(value: list[str]) -> None:
    # What is here already is found first: on another machine it is the place of other modules.
    sys.path[:] = [*sys.path, *(each for each in value if each not in sys.path)]
    importlib.invalidate_caches()


def _restore_path(value: list[str]) -> None:
    sys.path[:] = value


#: Settings that decide what an estimator is, and its arithmetic: how each is read and set. Workers
#: are kept from one check to the next, and modules may be in other places by then.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "sys": (lambda: list(sys.path), _set_path),
    "numpy": (np.geterr, lambda value: np.seterr(**value)),
    "torch": (_torch_type, _set_torch_type),
    "jax": (_jax_double, _set_jax_double),
}


def _settings() -> dict[str, Any]:
    return {name: read() for name, (read, _) in SETTINGS.items() if name in sys.modules}


@contextlib.contextmanager
def _by_value(pickler: Any) -> Iterator[None]:
    """Modules that no other process can import are sent as they are."""
    known = set(pickler.list_registry_pickle_by_value())
    chosen = [
        module
        for name, module in list(sys.modules.items())
        if name not in known and _is_users(name, module) and not _can_be_imported(name, module)
    ]
    for module in chosen:
        pickler.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in chosen:
            pickler.unregister_pickle_by_value(module)


def _imported_by_name() -> list[Any]:
    """Modules of the user's that another process imports by their names."""
    return [
        module
        for name, module in list(sys.modules.items())
        if _is_users(name, module)
        and getattr(module, "__name__", "") == name
        and _can_be_imported(name, module)
    ]


def _is_users(name: str, module: Any) -> bool:
    """Whether a module is neither installed nor of this project."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or name == "__main__" or name.partition(".")[0] == "gradproof":
        return False
    return not file.startswith(_installed_in())


@functools.cache
def _installed_in() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(paths[each] for each in ("stdlib", "purelib", "platlib"))


def _can_be_imported(name: str, module: Any) -> bool:
    """Whether a process with the same ``sys.path`` finds this module by its name."""
    parts, path, spec = name.split("."), None, None
    for depth in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), path)
        if spec is None:
            return False
        path = spec.submodule_search_locations
    return spec is not None and spec.origin == module.__file__


def _culprit(code: UserFunction, dumps: Callable[[Any], bytes]) -> str:
    """The name of the first thing that cannot be pickled."""
    function = inspect.unwrap(code.function)
    variables: dict[str, Any] = {}
    with contextlib.suppress(TypeError):
        closure = inspect.getclosurevars(function)
        variables = {**closure.nonlocals, **closure.globals}
    variables |= {f"inputs[{place}]": value for place, value in enumerate(code.inputs)}
    variables |= vars(getattr(function, "__self__", function))
    for name, value in variables.items():
        try:
            dumps(value)
        except Exception:  # noqa: BLE001 - it may be any
            return f"{name} (a {type(value).__name__})"
    return "the estimator"

"""Whose code something is: the user's own, or that of a library."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import types
from collections.abc import Iterable
from typing import Any

from .raw import module_namespace, type_module

#: The package of the kernel: its handlers are no state of the estimator's.
KERNEL = __name__.rpartition(".")[0].rpartition(".")[0]

#: Never the user's, wherever they are installed.
_FRAMEWORKS = frozenset(
    (
        *("torch", "numpy", "scipy", "jax", "jaxlib", "flax", "optax", "autograd"),
        *("theano", "pytensor", __name__.partition(".")[0]),
        *sys.stdlib_module_names,
    )
)

#: Objects of these packages are not looked into: what they keep has no part in a gradient, or
#: belongs to threads that go on meanwhile, which would wait for ever for what was put back.
_CLOSED_PACKAGES = frozenset(
    (
        *("threading", "_thread", "queue", "_queue", "logging", "multiprocessing", "concurrent"),
        *("asyncio", "socket", "socketserver", "ssl", "selectors", "subprocess", "signal", "http"),
        *("urllib", "importlib", "inspect", "typing", "ctypes", "_ctypes", "sqlite3", "tkinter"),
        *("ray", "dask", "distributed", "zmq", "IPython", "ipykernel", "tornado"),
        *("wandb", "mlflow", "tensorboard", "tensorboardX", "comet_ml", "neptune", "matplotlib"),
        *("pytest", "_pytest", "hypothesis", "jaxlib", "tensorflow"),
    )
)

#: Parts of packages that are otherwise looked into: compilers and compiled code, whose caches
#: change when something is run for the first time.
_CLOSED_MODULES = (
    *("torch._C", "torch._dynamo", "torch._inductor", "torch._functorch", "torch.fx"),
    *("torch.jit", "torch.utils.tensorboard", "torch.distributed"),
    *("jax._src", "theano.compile", "theano.gof", "pytensor.compile", "pytensor.graph"),
    *("pytensor.link", "numpy._core", "numpy.core"),
    KERNEL,
)


#: Folders of this name hold installed packages, wherever they are.
_INSTALLED = frozenset(("site-packages", "dist-packages"))


class Ownership:
    """Whose code a module is.

    A library is what lies in the standard library or among installed packages.

    Args:
        packages: names of packages that are the user's even if they are installed there, as that of
            the estimator; a framework is not.
    """

    def __init__(self, packages: Iterable[str] = ()) -> None:
        self._packages = {name.partition(".")[0] for name in packages} - _FRAMEWORKS
        self._folders = tuple(folder + os.sep for folder in _library_folders())
        self._modules: dict[str, bool] = {}

    def of_module(self, name: Any, file: Any = None) -> bool:
        """Whether a module of this name is the user's.

        Args:
            file: where it lies, if that is known; otherwise it is looked up among those imported.
        """
        if type(name) is not str:
            return True
        found = self._modules.get(name)
        if found is None:
            found = self._modules[name] = self._is_users(name, file)
        return found

    def _is_users(self, name: str, file: Any) -> bool:
        package = name.partition(".")[0]
        if package in self._packages:
            return True
        if package in _FRAMEWORKS and name != "__main__":
            return False
        if file is None:
            file = module_namespace(sys.modules.get(name)).get("__file__")
        # What is typed in has no file.
        if type(file) is not str:
            return True
        path = os.path.abspath(file)
        installed = not _INSTALLED.isdisjoint(path.split(os.sep))
        return not (installed or path.startswith(self._folders))


def is_closed(module: Any) -> bool:
    """Whether objects of types that this module defines are not looked into."""
    if type(module) is not str:
        return False
    return module.partition(".")[0] in _CLOSED_PACKAGES or any(
        module == name or module.startswith(f"{name}.") for name in _CLOSED_MODULES
    )


def is_kernel(module: Any) -> bool:
    """Whether this is a module of the kernel itself."""
    return type(module) is str and (module == KERNEL or module.startswith(f"{KERNEL}."))


def is_handler(value: Any) -> bool:
    """Whether this is of the kernel's making, and may stand for a while where a function did."""
    kind = type(value)
    if kind is types.MethodType:
        value = value.__func__
        kind = type(value)
    if kind is types.FunctionType:
        return is_kernel(value.__globals__.get("__name__"))
    # Numbers of the kernel's making are what a run leaves, like any others.
    return is_kernel(type_module(kind)) and callable(value)


def _library_folders() -> set[str]:
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        found.add(site.getusersitepackages())
    # Both as they are written and as they are: packages may be imported by a link.
    return {form(path) for path in found for form in (os.path.abspath, os.path.realpath)}

"""What can be imported from gradproof: its functions, what they return, and what they raise."""

import builtins
import inspect
import re

import gradproof
from gradproof import GradproofError


def _public():
    """Each public name and public method, with what it is."""
    for name in gradproof.__all__:
        found = getattr(gradproof, name)
        yield name, found
        if inspect.isclass(found) and found.__module__.startswith("gradproof."):
            for method, each in vars(found).items():
                if not method.startswith("_"):
                    yield f"{name}.{method}", each


def raised(docstring):
    """The names of errors under ``Raises:``."""
    section = re.search(r"^Raises:\n((?: {4}.*\n?|\n)+)", docstring, re.MULTILINE)
    entries = re.findall(r"^ {4}(\S.*?):", section[1], re.MULTILINE) if section else []
    return [name for entry in entries for name in re.findall(r"\w+", entry) if name != "errors"]


def test_every_error_of_a_docstring_can_be_imported():
    """Whoever reads that something raises it will want to catch it."""
    found = {name: raised(inspect.getdoc(each) or "") for name, each in _public()}
    named = {error for errors in found.values() for error in errors} - {"Other"}
    assert named > {"NotEnumerable", "UnsupportedStopGradient", "ValueError"}
    ours = {name for name in named if not hasattr(builtins, name)}
    assert ours <= set(gradproof.__all__)


def errors_of(package):
    """All classes of errors that are defined in a package, as far as it is loaded."""
    waiting, seen = [Exception], set()
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind not in seen:
                seen.add(kind)
                waiting.append(kind)
    return {kind for kind in seen if kind.__module__.partition(".")[0] == package}


def test_one_except_catches_them_all():
    """And another those that look like an error of Python's own."""
    for name in gradproof.__all__:
        getattr(gradproof, name)  # it is loaded now
    found = errors_of("gradproof") - {GradproofError}
    assert len(found) > 10
    for kind in found:
        assert issubclass(kind, GradproofError), kind
        builtin = [each for each in kind.__mro__ if each.__module__ == "builtins"]
        assert builtin[0] is not Exception, kind

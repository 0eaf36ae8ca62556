"""What PyTorch compiles or records: run as it was written, or refused; and all is as before."""

import importlib
import shutil
import subprocess
import sys

import pytest

from gradproof.estimators.enumeration.frameworks.torch_compile import COMPILED
from gradproof.estimators.enumeration.frameworks.torch_imports import LateImports
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.patches import Patches
from gradproof.estimators.enumeration.run import Run, UnsupportedDraw, paths

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),  # so are its users here
]

#: Of three outcomes, in binary.
WEIGHTS = [0.25, 0.625, 0.125]

EXPECTED = {repr([i]): each for i, each in enumerate(WEIGHTS)}


@pytest.fixture
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


@pytest.fixture
def draw(torch):
    """A function that draws one of three outcomes, and computes something."""

    def function(weights):
        return (torch.multinomial(weights * 2.0, 1) * 1.0).long()

    return function


@pytest.fixture
def weights(torch):
    """As they are drawn by."""
    return torch.tensor(WEIGHTS)


def distribution(code, watched=False):
    """The probability of each value that code can return, as its text."""
    found = {}
    with Handling(code) as handling:
        for path in paths(code, handling.perform_watched if watched else handling.perform):
            key = repr(path.value.tolist())
            found[key] = found.get(key, 0.0) + path.probability
    return found


class Compiler:
    """A backend of torch.compile that counts what it compiles."""

    def __init__(self, name):
        self.name, self.count = name, 0

    def __call__(self, module, examples):
        """Compile one graph."""
        registry = importlib.import_module("torch._dynamo.backends.registry")
        self.count += 1
        return registry.lookup_backend(self.name)(module, examples)


@pytest.fixture(params=["eager", "aot_eager", "inductor"])
def compiler(request, torch):
    """Each of the backends; one of them needs a compiler of C++."""
    if request.param == "inductor" and shutil.which("g++") is None:
        pytest.skip("there is no compiler of C++")
    importlib.import_module("torch._dynamo").reset()
    return Compiler(request.param)


# ------------------------------------------------------------------ compiled


@pytest.mark.filterwarnings("ignore")  # what the compiler warns of is not ours
def test_compiled_code_draws_as_it_was_written(torch, draw, weights, compiler):
    """Compiled before and used, not used yet, or compiled in a run; no more is compiled for it."""
    compiled = torch.compile(draw, backend=compiler, fullgraph=True)
    assert distribution(lambda: compiled(weights)) == EXPECTED
    assert compiler.count == 0  # nothing was compiled in a run
    # All three are drawn afterwards, but once in 10 ** 11 times.
    assert {int(compiled(weights)) for _ in range(200)} == {0, 1, 2}
    assert compiler.count == 1
    for watched in (False, True):
        assert distribution(lambda: compiled(weights), watched) == EXPECTED
    assert {int(compiled(weights)) for _ in range(200)} == {0, 1, 2}
    assert compiler.count == 1  # and not anew

    def in_run():
        return torch.compile(draw, backend=compiler)(weights)

    assert distribution(in_run) == EXPECTED
    assert compiler.count == 1


def test_compiled_modules_draw_as_they_were_written(torch, draw, weights, compiler):
    """A module that is compiled, and one that compiles itself."""

    class Drawing(torch.nn.Module):
        def forward(self, weights):
            return draw(weights)

    itself = Drawing()
    itself.compile(backend=compiler)
    for module in (torch.compile(Drawing(), backend=compiler), itself):
        assert distribution(lambda module=module: module(weights)) == EXPECTED
    assert compiler.count == 0


def test_a_run_remembers_that_something_is_compiled_elsewhere(torch, draw, weights):
    """What was looked at is the code as it was written; a function that is not compiled is that."""
    compiled = torch.compile(draw, backend="eager")
    for function, known in ((compiled, True), (draw, False)):
        run = Run()
        with Handling() as handling:
            handling.perform(lambda function=function: function(weights), run)
        assert run.memory.get(COMPILED, False) is known


def test_another_thread_runs_what_it_compiled(torch, weights, ask_thread):
    """Only the thread of the run has its code run as it was written."""
    compiler = Compiler("eager")
    compiled, found = torch.compile(lambda x: x * 2.0, backend=compiler), []

    def code():
        found.append(ask_thread(lambda: compiled(weights)))
        return torch.multinomial(weights, 1)

    assert distribution(code) == EXPECTED
    assert compiler.count == 1
    assert torch.equal(found[0], weights * 2.0)


def test_how_compiled_code_is_run_is_as_before(torch, draw, weights):
    """Somebody's own word on that stands before, in another thread, and afterwards."""
    if not hasattr(torch.compiler, "set_stance"):
        pytest.skip("this version of PyTorch does not know of it")
    frames = importlib.import_module("torch._dynamo.eval_frame")
    compiled = torch.compile(draw, backend="eager")
    with torch.compiler.set_stance("fail_on_recompile"):
        before = frames._stance
        assert distribution(lambda: compiled(weights)) == EXPECTED
        assert frames._stance is before
        with Handling():
            assert frames._stance.stance == "fail_on_recompile"
    assert frames._stance.stance == "default"


# ------------------------------------------------------------------ recorded


def by_jit(torch, draw, weights):
    """A trace."""
    return torch.jit.trace(draw, (weights,), check_trace=False)(weights)


def by_fx(torch, draw, weights):
    """A graph of calls."""
    return torch.fx.symbolic_trace(draw)(weights)


def by_operations(torch, draw, weights):
    """A graph of operations."""
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(draw)(weights)(weights)


def with_fake_tensors(torch, draw, weights):
    """The same of tensors without numbers."""
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(draw, tracing_mode="fake")(weights)(weights)


RECORDED = (by_jit, by_fx, by_operations, with_fake_tensors)


@pytest.mark.parametrize("record", RECORDED, ids=lambda each: each.__name__)
def test_an_outcome_is_not_recorded(torch, draw, weights, record):
    """It would be a constant from then on."""
    for watched in (False, True):
        with pytest.raises(UnsupportedDraw, match="would be a constant of what is recorded"):
            distribution(lambda: record(torch, draw, weights), watched)


def test_scripts_draw_unseen_and_are_refused(torch, weights):
    """TorchScript calls no function of Python's; made before, or in a run."""

    def draw(weights):
        return torch.multinomial(weights, 1)

    draw.__globals__["torch"] = torch  # where TorchScript looks it up
    try:
        script = torch.jit.script(draw)
        for code in (lambda: script(weights), lambda: torch.jit.script(draw)(weights)):
            with pytest.raises(UnsupportedDraw):
                distribution(code)
        assert {int(script(weights)) for _ in range(200)} == {0, 1, 2}
    finally:
        del draw.__globals__["torch"]


def test_scripts_know_no_handlers_afterwards(torch, weights):
    """PyTorch's table of what TorchScript can call is as before."""
    table = torch.jit._builtins._get_builtin_table()
    before = dict(table)
    distribution(lambda: torch.multinomial(weights, 1))
    assert table == before


# ------------------------------------------------------------------ imported late


def test_modules_that_come_late_see_what_stood_there_before(tmp_path, monkeypatch):
    """A package that imports more of itself while handlers are on."""
    package = tmp_path / "late_package"
    package.mkdir()
    (package / "__init__.py").write_text("def draw(): return 'own'\n")
    (package / "within.py").write_text(
        "import late_package\nfrom . import deeper\nkept = late_package.draw\n"
    )
    (package / "deeper.py").write_text("from . import draw as kept\n")
    (package / "broken.py").write_text("raise ValueError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)
    late = importlib.import_module("late_package")
    real, patches, told = late.draw, Patches(), []

    def handler():
        return "handler"

    finders = list(sys.meta_path)
    patches.attribute(late, "draw", handler)
    then = {"late_package.within": lambda: told.append(late.draw)}
    LateImports("late_package", [(late, "draw", real, handler)], then).install(patches)
    try:
        within = importlib.import_module("late_package.within")
        assert within.kept is within.deeper.kept is real
        assert late.draw is handler
        assert told == [handler]
        with pytest.raises(ValueError, match="broken"):
            importlib.import_module("late_package.broken")
        assert late.draw is handler
    finally:
        patches.undo()
        for name in [each for each in sys.modules if each.startswith("late_package")]:
            del sys.modules[name]
    assert late.draw is real
    assert sys.meta_path == finders


LATE = """
import gc, sys, torch, types
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import Run

assert "torch._dynamo" not in sys.modules
handlers = []

def code():
    handlers.extend([torch.multinomial, torch.bernoulli, torch.Tensor.bernoulli_])
    weight = torch.nn.Parameter(torch.zeros(2))
    torch.optim.Adam([weight]).zero_grad()
    return torch.bernoulli(torch.tensor(0.0))

with Handling(code) as handling:
    handling.perform(code, Run())
assert "torch._dynamo" in sys.modules
ours = {id(handlers), id(globals())}
for handler in handlers:
    kept = [each for each in gc.get_referrers(handler) if isinstance(each, dict)]
    assert all(id(each) in ours for each in kept), kept
compiled = torch.compile(lambda p: torch.bernoulli(p), backend="eager", fullgraph=True)
assert len({float(compiled(torch.tensor(0.5))) for _ in range(60)}) == 2
"""


def test_the_compiler_may_be_imported_in_a_run(torch):
    """An optimizer does that; nothing of it keeps a handler, and it compiles what draws."""
    subprocess.run([sys.executable, "-c", LATE], check=True)


PLAIN = """
import sys, torch
from gradproof import check_estimator

x = torch.zeros(2, dtype=torch.double, requires_grad=True)
costs = torch.tensor([1.0, 3.0])

def estimate(x):
    q = torch.distributions.Categorical(logits=x)
    y = q.sample()
    return costs[y] * q.log_prob(y)

assert check_estimator(estimate, [x], exact=[-0.5, 0.5]).unbiased
assert "torch._dynamo" not in sys.modules
"""


def test_a_check_loads_no_compiler():
    """That takes a second and a half, before anything is checked."""
    subprocess.run([sys.executable, "-c", PLAIN], check=True)

"""PyTorch's draws under ``torch.func``: vmap, grad, vjp, jvp, and what is made of these.

What a handler is given there are tensors in wrappers, one for each transform, whose numbers cannot
be read. So PyTorch's own function is called, which takes the wrappers off by PyTorch's own rules:
what ``randomness=`` says of rows, what is refused, what has no derivative. At the bottom an
operation draws from a plain tensor, and that is what the run is asked for.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from typing import Any

from ..block import BlockRun, NotBatchable
from ..run import Run, UnsupportedDraw
from ..torch_modes import not_hidden
from .torch_compile import refuse_recording

#: Answers a draw: given the run, and the arguments of a function of PyTorch.
Answer = Callable[..., Any]

#: What an operation is given beside what its function is given, and its function has no name for.
UNNAMED = ("layout", "pin_memory", "memory_format")

#: Under this name a run remembers that the operations of a function are answered.
UNDER_WAY = "torch transforms"


class Transforms:
    """Draws of PyTorch, wherever they are made.

    Args:
        answers: of plain tensors, by the name of a function of PyTorch, in-place ones as well.
    """

    def __init__(self, torch: Any, answers: Mapping[str, Answer]) -> None:
        self._torch = torch
        self._refuse_recording = refuse_recording(torch)
        self._answers = {**answers, "random": self._random, "bernoulli": self._bernoulli}
        self._plain = answers

    def answer(self, real: Callable[..., Any], plain: Answer) -> Answer:
        """What answers for a function of PyTorch, also under transforms.

        Args:
            plain: answers for plain tensors.
        """
        transform = self._torch._C._functorch.peek_interpreter_stack
        refuse, inside = self._refuse_recording, self.answer_inside(real)

        def answer(run: Run, *args: Any, **kwargs: Any) -> Any:
            refuse()
            if transform() is None:
                return plain(run, *args, **kwargs)
            return inside(run, *args, **kwargs)

        return answer

    def answer_inside(self, real: Callable[..., Any]) -> Answer:
        """What answers for a function of PyTorch that draws by operations inside."""
        answering, operations = _answering_mode(self._torch), self._answers
        refuse = self._refuse_recording

        def answer(run: Run, *args: Any, **kwargs: Any) -> Any:
            refuse()
            if run.memory.get(UNDER_WAY):  # a mode that sees all functions has called us again
                return real(*args, **kwargs)
            run.memory[UNDER_WAY] = True
            try:
                with answering(run, operations):
                    return real(*args, **kwargs)
            finally:
                run.memory[UNDER_WAY] = False

        return answer

    def answer_lazily(self, plain: Answer, *, of_rows: bool) -> Answer:
        """The same of numbers that are decided when they are compared.

        Args:
            plain: answers for plain tensors, also where something is differentiated.
            of_rows: whether it answers for many rows too, where numbers are integrated.
        """
        functions, refuse = self._torch._C._functorch, self._refuse_recording

        def answer(run: Run, *args: Any, **kwargs: Any) -> Any:
            refuse()
            if isinstance(run, BlockRun):
                if run.quadrature is None or not of_rows:
                    raise NotBatchable("it draws numbers that are decided when they are compared")
                return plain(run, *args, **kwargs)
            levels = functions.get_interpreter_stack() or ()
            if any(level.key() == functions.TransformType.Vmap for level in levels):
                raise UnsupportedDraw(
                    "continuous numbers are drawn within torch.func.vmap, where they cannot be "
                    "enumerated; draw them outside, all rows at once"
                )
            return plain(run, *args, **kwargs)

        return answer

    def _random(self, run: Run, like: Any, *bounds: Any, **named: Any) -> Any:
        """What ``random_`` becomes where nothing is done in place."""
        return self._plain["random_"](run, self._torch.empty_like(like), *bounds, **named)

    def _bernoulli(self, run: Run, like: Any, p: Any = None, **named: Any) -> Any:
        """Also what ``bernoulli_`` becomes there, which may be given a tensor of probabilities."""
        if isinstance(p, self._torch.Tensor):
            return self._plain["bernoulli_"](run, self._torch.empty_like(like), p, **named)
        return self._plain["bernoulli"](run, like, p, **named)


def drops_nothing(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation would draw what to drop, with a probability that is zero."""
    for place, each in enumerate(func._schema.arguments):
        if each.name == "dropout_p" or (each.name == "p" and "dropout" in str(func)):
            given = args[place] if place < len(args) else kwargs.get(each.name, each.default_value)
            return bool(given == 0.0)
    return False


@functools.cache
def _answering_mode(torch: Any) -> Callable[..., contextlib.AbstractContextManager[object]]:
    """A mode that answers operations that draw, which see plain tensors only."""
    drawing = torch.Tag.nondeterministic_seeded
    autograd = torch._C.DispatchKey.AutogradFunctionality

    class Answering(torch.utils._python_dispatch.TorchDispatchMode):
        def __init__(self, run: Run, answers: Mapping[str, Answer]) -> None:
            super().__init__()
            self._run, self._answers = run, answers

        def __torch_dispatch__(  # the name is PyTorch's
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            given = kwargs or {}
            if drawing not in func.tags or drops_nothing(func, args, given):
                return func(*args, **given)
            name = func._schema.name.split("::")[-1]
            answer = self._answers.get(name)
            if answer is None:
                raise UnsupportedDraw(
                    f"PyTorch drew by {name}, an unsupported draw; draw by multinomial or bernoulli"
                )
            named = {key: value for key, value in given.items() if key not in UNNAMED}
            if self._run.graph is None:
                return answer(self._run, *args, **named)
            # PyTorch has done with differentiating by now, but the probabilities are wanted with
            # the graph that they have outside of all transforms.
            with torch._C._SetExcludeDispatchKeyGuard(autograd, False):
                return answer(self._run, *args, **named)

    return not_hidden(Answering)

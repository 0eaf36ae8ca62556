"""TRL: its trainers, unmodified: their own generation, rewards, advantages and loss, on every path.

Models are those of transformers, of the usual architectures, with random weights, a width of four
and one layer. A trainer makes a reference of its own where ``beta`` is not zero: by the name of a
folder, to which a model of other weights was saved.
"""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradproof import check_estimator, policies

from . import problem
from .problem import DIVERGENCE, EXPECTED, NEXT_TOKENS, PENALISED
from .row import Row

#: The prompt: the token 1, which completions may have too.
PROMPT = "a"

#: Completions of a group.
GROUP = 2

#: Each matrix is drawn with a standard deviation of 0.02, with which policies are uniform.
WIDER = 25.0

#: Options of trainers that are not about the loss: one step on a processor, and no dropout.
QUIET: dict[str, Any] = {
    "bf16": False,
    "disable_dropout": True,
    "gradient_checkpointing": False,
    "report_to": [],
    "use_cpu": True,
}


def tiny_model(kind: str, seed: int = 0, dtype: str = "float64") -> Any:
    """A model of three tokens by its architecture: ``gpt2``, ``llama`` or ``qwen2``."""
    import torch
    import transformers

    tokens = {"vocab_size": 3, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        sizes = {"n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}
        configuration = transformers.GPT2Config(**tokens, **sizes, **dropout)
    else:
        sizes = {"hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1}
        heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 8}
        make = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[kind]
        configuration = make(**tokens, **sizes, **heads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(configuration)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(WIDER)
    return model.to(getattr(torch, dtype))


def tokenizer() -> Any:
    """The tokenizer of three tokens, of which the first ends a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "b": 2}, unk_token="b"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>", unk_token="b"
    )


@contextmanager
def trainer(
    name: str,
    model: Any,
    *,
    longest: int = 1,
    divisor: float = 1.0,
    gradient_accumulation_steps: int = 1,
    **options: Any,
) -> Iterator[Any]:
    """A trainer, ready for a step; its folder is removed afterwards."""

    def rewards(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [reward(tuple(tokens)) / divisor for tokens in completion_ids]

    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is asked for over the net
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of what is deprecated in what it imports
        import datasets
        import trl

        if options.get("beta"):
            tiny_model(model.config.model_type, seed=1).save_pretrained(folder)
            model.config._name_or_path = folder
        arguments = getattr(trl, f"{name}Config")(
            output_dir=folder,
            per_device_train_batch_size=GROUP // gradient_accumulation_steps,
            gradient_accumulation_steps=gradient_accumulation_steps,
            num_generations=GROUP,
            max_completion_length=longest,
            **QUIET | {"beta": 0.0} | options,
        )
        made = getattr(trl, f"{name}Trainer")(
            model=model,
            reward_funcs=rewards,
            args=arguments,
            processing_class=tokenizer(),
            train_dataset=datasets.Dataset.from_dict({"prompt": [PROMPT] * GROUP}),
        )
        if getattr(made, "ref_model", None) is not None:
            made.ref_model.to(next(model.parameters()).dtype)
        # What train() would set.
        made.current_gradient_accumulation_steps = gradient_accumulation_steps
        made.model.train()
        yield made


def reward(tokens: tuple[int, ...]) -> float:
    """Of a completion, also of one of one token that has not ended."""
    return problem.REWARDS.get(tokens, 0.5 * len(tokens) - sum(tokens))


def loss_of(made: Any) -> Any:
    """The loss of one batch that the trainer generates and scores by itself."""

    def step() -> Any:
        batch = made._generate_and_score_completions([{"prompt": PROMPT}] * GROUP)
        return made.compute_loss(made.model, batch)

    return step


def training_steps(made: Any) -> Any:
    """All training steps between two of the optimizer's, each with its own backward pass."""

    def steps() -> None:
        for _ in range(made.args.gradient_accumulation_steps):
            made.training_step(made.model, [{"prompt": PROMPT}] * GROUP, None)

    return steps


def check(
    name: str,
    estimand: str = EXPECTED,
    *,
    kind: str = "gpt2",
    longest: int = 2,
    dtype: str = "float64",
    divisor: float = 1.0,
    whole_steps: bool = False,
    **options: Any,
) -> Any:
    """The report on a trainer with these options.

    Args:
        whole_steps: run ``training_step``, which shuffles, splits and differentiates the batch, and
            not the loss alone.
        divisor: of all rewards. Where they are divided by their standard deviation, that of equal
            rewards is rounding over 1e-4, and only of small ones it is small beside the gradient.
    """
    model = tiny_model(kind, dtype=dtype)
    temperature = options.get("temperature", 1.0)
    with trainer(name, model, longest=longest, divisor=divisor, **options) as made:
        policy = policies.autoregressive(
            model, [[1]], eos=0, longest=longest, temperature=temperature
        )
        goal = {
            EXPECTED: lambda: policy.expected(lambda tokens: reward(tokens) / divisor),
            PENALISED: lambda: policy.expected(reward) - problem.BETA * policy.kl(made.ref_model),
            DIVERGENCE: lambda: -1.0 * policy.kl(made.ref_model),
            NEXT_TOKENS: lambda: -1.0 * policy.kl_of_next_tokens(made.ref_model),
        }[estimand]()
        return check_estimator(
            training_steps(made) if whole_steps else loss_of(made),
            wrt=model,
            exact=goal.as_loss(),
            name=f"{name}Trainer",
        )


def rows() -> list[Row]:
    """Every row of TRL; of one token where the length of completions does not matter."""
    without_std = {"scale_rewards": "none"}
    rloo: list[tuple[str, dict[str, Any]]] = [
        (EXPECTED, {}),
        (EXPECTED, {"kind": "llama"}),
        (EXPECTED, {"kind": "qwen2"}),
        *((EXPECTED, {"kind": kind, "dtype": "float32"}) for kind in ("gpt2", "llama", "qwen2")),
        (EXPECTED, {"normalize_advantages": True}),
        (EXPECTED, {"longest": 1}),
        (EXPECTED, {"longest": 1, "temperature": 0.7}),
        (EXPECTED, {"longest": 1, "top_k": 2}),
        (EXPECTED, {"longest": 1, "top_p": 0.7}),
        (EXPECTED, {"longest": 1, "kind": "llama"}),
        (EXPECTED, {"longest": 1, "kind": "qwen2"}),
        (EXPECTED, {"longest": 1, "dtype": "float32"}),
        (PENALISED, {"longest": 1, "beta": problem.BETA}),
    ]
    kinds = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo")
    grpo: list[dict[str, Any]] = [
        {"divisor": 100.0},
        *({"loss_type": kind} | without_std for kind in kinds),
        {"loss_type": "dr_grpo", "divisor": 100.0},
        {"loss_type": "grpo", "importance_sampling_level": "sequence"} | without_std,
        {"loss_type": "luspo", "importance_sampling_level": "sequence"} | without_std,
        {"loss_type": "luspo", "mask_truncated_completions": True} | without_std,
        {"longest": 1, "loss_type": "dr_grpo", "kind": "llama"} | without_std,
        {"longest": 1, "loss_type": "dr_grpo", "kind": "qwen2"} | without_std,
    ]
    steps = [
        {"whole_steps": True, "loss_type": kind, "gradient_accumulation_steps": count} | without_std
        for kind in ("grpo", "bnpo", "dapo", "luspo")
        for count in (1, 2)
    ]
    penalty = {"loss_type": "luspo", "beta": 1.0, "reward_weights": [0.0]}
    uncorrected = {"longest": 1, "use_bias_correction_kl": False}
    return [
        *(_row("RLOO", estimand, options) for estimand, options in rloo),
        *(_row("GRPO", EXPECTED, options) for options in (*grpo, *steps)),
        _row("GRPO", DIVERGENCE, penalty | uncorrected),
        _row("GRPO", DIVERGENCE, penalty),
        _row("GRPO", NEXT_TOKENS, penalty),
    ]


def _row(name: str, estimand: str, options: dict[str, Any]) -> Row:
    ours = ("kind", "dtype", "longest", "divisor", "whole_steps")
    words = [f"{key}={value!r}" for key, value in options.items() if key not in ours]
    model = f"{options.get('kind', 'gpt2')} {options.get('dtype', '')}".strip()
    rest = f"T = {options.get('longest', 2)}" + "; rewards / 100" * ("divisor" in options)
    step = ".training_step()" if options.get("whole_steps") else ""
    option = f"{name}Trainer({', '.join(words)}){step}; {model}; {rest}"
    return Row("trl", option, estimand, functools.partial(check, name, estimand, **options))

"""What figures call things that have a short name in the code, and how they write numbers."""

from __future__ import annotations

import math

from gradproof.checks.variance.records import Training

MODELS = {"seqdgm": "SeqDGM", "seqdgm-a": "SeqDGM-A"}

DATA = {
    "names-8": "last names, 8 locales",
    "names-61": "last names, 61 locales",
    "r8": "Reuters, 8 topics",
    "r52": "Reuters, 52 topics",
}

BASELINES = {
    "none": "no baseline",
    "best": "best B of each sentence",
    "best-per-group": "best of each group",
    "best-per-parameter": "best of each parameter",
    "expected-return": "E[R|x]",
    "per-token": "per token",
    "affine-length": "affine in length",
    "affine-embedding": "affine in embedding",
    "affine-both": "affine in both",
    "batch-mean": "mean of the batch",
    "leave-one-out": "leave one out",
    "mean-loss": "mean loss",
    "mlp": "network (MLP)",
    "running-mean": "running mean",
    "running-mean-first": "running mean, first updated",
}

FITS = {"mse": "least squares", "variance": "least variance", "running-mean": "running mean"}

#: Whole numbers up to here are written out.
LONG = 1e6


def baseline_name(name: str) -> str:
    """A baseline in words; a user's own by its name."""
    return BASELINES.get(name, name)


def fit_name(fit: str) -> str:
    """How a baseline was fitted, in words."""
    return FITS.get(fit, fit)


def data_name(name: str) -> str:
    """A corpus in words; a file by its name."""
    return DATA.get(name, name)


def subject_name(model: str, data: str) -> str:
    """A model on a corpus, in words, as a title."""
    return f"{MODELS.get(model, model)} on {data_name(data)}"


def run_name(run: Training) -> str:
    """A training run in words, as a title."""
    return subject_name(run.model, run.data)


def number(value: float) -> str:
    """Three digits, without a power of ten where one can do without: 3,120 and not 3.12e+03."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g}"
    size = math.floor(math.log10(abs(value)))
    if size >= -4 and abs(value) < LONG:
        text = f"{round(value, 2 - size):,.{max(2 - size, 0)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = rf"${value / 10.0**size:.2f}\times10^{{{size}}}$"
    return text.replace("-", "\N{MINUS SIGN}") if not text.startswith("$") else text

"""The scene that bugs are planted in."""

import pytest

from .plant import Scene


@pytest.fixture
def scene_of(monkeypatch, pytestconfig):
    """Makes a scene in a framework; its seed is the run's own, which the header names."""
    seed = int(pytestconfig.option.hypothesis_seed)
    return lambda backend: Scene(monkeypatch, seed, backend)


@pytest.fixture
def scene(scene_of):
    """A scene in NumPy and autograd."""
    return scene_of("autograd")

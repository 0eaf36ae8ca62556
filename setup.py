"""Build from an empty folder; everything else about the package stands in pyproject.toml."""

import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class FreshBuildPy(build_py):
    """Forget earlier builds: setuptools ships all that is in build/lib, removed modules too."""

    def run(self) -> None:
        """Empty the folder that the wheel is packed from, then fill it."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(cmdclass={"build_py": FreshBuildPy})

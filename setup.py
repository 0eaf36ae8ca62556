"""Build from an empty folder; everything else about the package stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
#: In a source distribution these are folders, in a checkout links to those at its root.
ROOMS = ("checks", "derivations", "estimators", "reference_models", "reports")


class FreshBuildPy(build_py):
    """Forget earlier builds: setuptools ships all that is in build/lib, removed modules too."""

    def run(self) -> None:
        """Empty the folder that the wheel is packed from, then fill it."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


broken = [room for room in ROOMS if not (HERE / "src" / "gradproof" / room).is_dir()]
if broken:
    raise SystemExit(
        f"src/gradproof/{broken[0]} is no symbolic link to {broken[0]}/, so this checkout was made "
        "without symbolic links: allow them (on Windows: developer mode), then run "
        "`git config core.symlinks true` and `git checkout -- src/gradproof`, and install again"
    )

setup(cmdclass={"build_py": FreshBuildPy})

"""A tree of paths in pieces: subtrees that are added up by themselves, and then together.

Which pieces there are depends on the tree alone, and never on who runs them: on the number of ways
in which the draws before a place can come out. So sums over all paths are the same to the last bit,
whether one process runs all pieces or many share them. The first paths of a tree are no piece:
most trees are small, and have no others.

Reference: Knuth (1975), Estimating the efficiency of backtrack programs, for how many paths there
are, which says how finely a tree is cut.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from .run import Choice, Path

#: Paths that are run and added up first, before anything is cut.
HEAD = 256

#: Paths of a piece, about: adding up a piece costs less than running one path.
PIECE = 256

#: Pieces of a tree, about; there may be twice as many. With fewer, workers would wait for the last
#: one, and more than 1024 workers wait for the head.
FEWEST, MOST = 16, 1024


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a tree is cut into pieces: about so many, all beyond its first paths.

    A place is cut as long as the draws before it come out in fewer ways than there shall be pieces:
    the outcomes of its draw then belong to different pieces, one by one or in a few groups.
    """

    pieces: int

    @classmethod
    def after(cls, path: Path[object], count: int) -> Cut:
        """That of a tree of which so many paths were run, this one as the last."""
        about = count / max(path.behind, 1e-300) / PIECE  # so many draws that it is no number
        return cls(int(min(MOST, max(FEWEST, about))))

    def divides(self, choices: Sequence[Choice], following: Sequence[Choice]) -> bool:
        """Whether a path is the last of its piece, from its draws and the next one's prefix."""
        place = len(following) - 1
        ways = self._ways(choices[:place])
        return ways < self.pieces and self._group(choices[place], ways) != self._group(
            following[place], ways
        )

    def is_within_piece(self, prefix: Sequence[Choice]) -> bool:
        """Whether all paths that begin so belong to one piece."""
        return self._ways(prefix) >= self.pieces

    def next_start(self, choices: Sequence[Choice]) -> list[Choice] | None:
        """The prefix of the first path of the next piece, from the draws of a path of this one.

        None if this is the last.
        """
        for place in reversed(range(len(choices))):
            choice, ways = choices[place], self._ways(choices[:place])
            if ways >= self.pieces:
                continue
            group = self._group(choice, ways)
            other = choice.outcomes.next_possible(choice.taken)
            while other is not None:
                start = choice._replace(taken=other)
                if self._group(start, ways) != group:
                    return [*choices[:place], start]
                other = choice.outcomes.next_possible(other)
        return None

    def _ways(self, choices: Sequence[Choice]) -> int:
        """In how many ways draws may come out, as far as that matters."""
        ways = 1
        for choice in choices:
            ways *= choice.outcomes.possible
            if ways >= self.pieces:
                break
        return ways

    def _group(self, choice: Choice, ways: int) -> int:
        """Of the possible outcomes of a draw that is cut: to which piece one of them belongs."""
        possible, rank = choice.outcomes.possible, choice.outcomes.rank(choice.taken)
        return rank * min(possible, -(-self.pieces // ways)) // possible

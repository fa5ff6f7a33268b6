"""Where models would not be judged alike: rows whose label, weight, slice or cluster is not the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ce_cli.errors import Problem
from ce_cli.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.arrays import Ints
    from ce_cli.comparing.entrants import Entrant


@dataclass
class Disagreement:
    """Rows on which the models do not agree about what is to be agreed upon."""

    labels: Tally = field(default_factory=Tally)
    weights: Tally = field(default_factory=Tally)
    columns: dict[str, Tally] = field(default_factory=dict)

    def add_cells(self, column: str, rows: Ints) -> None:
        """Add rows, ascending, whose cells of a column are not those of the reference."""
        if len(rows):
            self.columns.setdefault(column, Tally()).add(rows)

    def merge(self, other: Disagreement) -> None:
        """Add what another one has seen."""
        self.labels.merge(other.labels)
        self.weights.merge(other.weights)
        for column, tally in other.columns.items():
            self.columns.setdefault(column, Tally()).merge(tally)

    def problems(self, entrants: Sequence[Entrant]) -> list[Problem]:
        """Return what is to be told of them."""
        found = []
        for tally, what, option in ((self.labels, "label", "--labels"), (self.weights, "weight", "--weight-col")):
            hint = f"models are compared on the same {what}s: name those that are right with {option}"
            found.append(_unlike(tally, what, entrants, hint))
        for column, tally in sorted(self.columns.items()):
            hint = "models are compared on the same slices and clusters: put the column into the file of --labels alone"
            found.append(_unlike(tally, f"column {column}", entrants, hint, column))
        return [problem for problem in found if problem.count]


def _unlike(tally: Tally, what: str, entrants: Sequence[Entrant], hint: str, column: str | None = None) -> Problem:
    rows = f"{tally.count:,} row{'' if tally.count == 1 else 's'}"
    file = _judge(entrants)
    message = f"the models are not judged alike: in {rows} of {file} the {what} is not the same for all of them"
    return Problem("bad_option", message, column=column, rows=tally.first, count=tally.count, hint=hint)


def _judge(entrants: Sequence[Entrant]) -> str:
    first = entrants[0]
    return (first.labels or first.predictions).path

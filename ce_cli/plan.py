"""What the user asked for, and what was decided: everything that can change a number, frozen."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ce_cli._version import __version__
from ce_cli.errors import CeError, Problem
from ce_cli.slicing import parse_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TASKS = ("auto", "binary", "multiclass", "multilabel", "regression", "tokens")
# Options that mean something to one task only.
TASK_OPTIONS: dict[str, tuple[str, ...]] = {
    "regression": ("bins", "targets", "sigma", "dist"),
    "tokens": ("token_col", "sequence_col", "token_count_col", "text_col", "bytes_col", "words_col"),
}
INPUTS = ("probs", "percent", "logits", "logprobs")
BASES = ("e", "2", "10")
UNITS = {"e": "nats", "2": "bits", "10": "bans"}
FORMATS = ("auto", "csv", "tsv", "parquet", "lines", "jsonl", "openai", "lm-eval", "fairseq", "kenlm")
ALIGNMENTS = ("auto", "id", "position")
SMOOTHINGS = ("uniform", "others")
BALANCED = "balanced"  # class weights that let every class count the same
ROW_SUMS = ("strict", "normalize", "raw")
TARGETS = ("hard", "hl-gauss", "two-hot")
DISTRIBUTIONS = ("normal", "laplace", "logistic")
LEAST_REPLICATES, MOST_REPLICATES = 100, 1_000_000
USUAL_REPLICATES = 1000  # of a bootstrap, where nobody says how many
_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[KMGT]?B?|[KMGT]iB)", re.IGNORECASE | re.ASCII)


class Scale(Enum):
    """What a score is."""

    PROBS = "probs"
    PERCENT = "percent"
    LOGITS = "logits"
    LOGPROBS = "logprobs"
    DISTRIBUTION = "distribution"  # a mean and a standard deviation
    POINT = "point"  # one number


@dataclass(frozen=True, repr=False)
class Options:
    """The options of an evaluation, as the command line spells them; None means not given."""

    task: str = "auto"
    input: str | None = None
    input_base: str = "e"
    format: str = "auto"
    delimiter: str | None = None
    header: bool = True
    label_col: str | None = None
    pred_cols: tuple[str, ...] = ()
    id_col: tuple[str, ...] = ()
    weight_col: str | None = None
    sequence_col: str | None = None
    token_col: str | None = None
    token_count_col: str | None = None
    text_col: str | None = None
    bytes_col: str | None = None
    words_col: str | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    align: str = "auto"
    missing: str = "error"
    ignore_label: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    label_smoothing_kind: str = "uniform"
    class_weights: str | Mapping[str, float] | None = None
    eps: str | float | None = None
    row_sum: str = "strict"
    on_invalid: str = "error"
    bins: str | None = None
    targets: str = "hard"
    sigma: str | float | None = None
    dist: str | None = None
    base: str = "e"
    confidence: float = 0.95
    ece_bins: int = 15
    top: int = 5
    cluster: str | None = None
    bootstrap: int | None = None
    seed: int = 0
    by: tuple[str, ...] = ()
    min_slice: int = 30
    show: tuple[str, ...] = ()
    calibration: bool = False
    models: tuple[str, ...] = ()
    model_col: str | None = None
    reference: str | None = None
    jobs: int | None = None
    chunk_rows: int | None = None
    join_memory: str | int | None = None

    def __post_init__(self) -> None:
        problems = [Problem("bad_option", message, hint=hint) for message, hint in self._faults()]
        try:
            parse_all(self.by)
        except CeError as error:
            problems += error.problems
        if problems:
            raise CeError(*problems)

    def _faults(self) -> Iterator[tuple[str, str | None]]:
        """Yield what is wrong with the options, each with a hint."""
        for check in (self._choices, self._numbers, self._spreads, self._text, self._pairs, self._replicates):
            for fault in check():
                yield fault if isinstance(fault, tuple) else (fault, None)

    def _choices(self) -> Iterator[str]:
        choices = {
            "task": TASKS,
            "input": (None, *INPUTS),
            "input_base": BASES,
            "format": FORMATS,
            "align": ALIGNMENTS,
            "missing": ("error", "drop"),
            "row_sum": ROW_SUMS,
            "label_smoothing_kind": SMOOTHINGS,
            "on_invalid": ("error", "drop"),
            "targets": TARGETS,
            "dist": (None, *DISTRIBUTIONS),
            "base": BASES,
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                known = ", ".join(str(choice) for choice in allowed if choice is not None)
                yield f"{flag(name)} takes one of {known}, but got {value!r}"

    def _numbers(self) -> Iterator[str | tuple[str, str]]:
        if not 0 < self.confidence < 1:
            message = f"--confidence takes a number between 0 and 1, but got {self.confidence!r}"
            share = self.confidence / 100
            yield (message, f"{self.confidence:g} % is --confidence {share:g}") if 0.5 <= share < 1 else message
        for name, least in (("ece_bins", 1), ("top", 0), ("min_slice", 1), ("jobs", 1), ("chunk_rows", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                yield f"{flag(name)} takes a whole number from {least} on, but got {value!r}"
        if not 0 <= self.label_smoothing < 1:
            yield f"--label-smoothing takes a number from 0 to below 1, but got {self.label_smoothing!r}"
        if not 0 <= self.seed < 1 << 64:
            yield f"--seed takes a whole number from 0 to below 2**64, but got {self.seed!r}"

    def _spreads(self) -> Iterator[str]:
        for name, below, said in (("eps", 0.5, "between 0 and 0.5"), ("sigma", math.inf, "above 0")):
            value = getattr(self, name)
            if value not in (None, "auto") and not 0 < _number(value) < below:
                yield f"{flag(name)} takes auto or a number {said}, but got {value!r}"

    def _text(self) -> Iterator[str]:
        mark = self.delimiter
        if mark is not None and (len(mark) != 1 or mark in '"\r\n' or mark > "~"):
            yield f"--delimiter takes one ASCII character, but got {mark!r}"
        if self.join_memory is not None and bytes_of(self.join_memory) is None:
            yield f"--join-memory takes a size such as 500M or 1.5GiB, but got {self.join_memory!r}"

    def _pairs(self) -> Iterator[str]:
        if self.input_base != "e" and self.input not in (None, "logprobs"):
            yield f"--input-base is the base of log-probabilities, but --input says {self.input}"
        if self.models and self.model_col is not None:
            yield "--models names columns and --model-col groups of rows: only one of them can be"

    def _replicates(self) -> Iterator[str | tuple[str, str]]:
        if self.bootstrap is None:
            return
        if not LEAST_REPLICATES <= self.bootstrap <= MOST_REPLICATES:
            yield (
                f"--bootstrap takes a whole number from {LEAST_REPLICATES} to {MOST_REPLICATES:,}, "
                f"but got {self.bootstrap!r}"
            )
        elif 0 < self.confidence < 1:
            # The bounds are order statistics: below the first of them there is nothing.
            needed = math.ceil(2 / (1 - self.confidence) - 1e-6) - 1
            if self.bootstrap < needed:
                yield (
                    f"{self.bootstrap:,} replicates have no quantiles for --confidence {self.confidence!r}",
                    f"pass --bootstrap {needed} or more: the tails are to hold some replicates",
                )

    @property
    def compares(self) -> bool:
        """Whether one file holds several models."""
        return bool(self.models) or self.model_col is not None

    @property
    def looks_first(self) -> bool:
        """Whether the data are read once before they are scored, so that a pipe must be kept.

        That is for balanced class weights, for the bins, for the spread of the residuals, or for slices by quantiles.
        """
        return (
            self.class_weights == BALANCED
            or self.sigma == "auto"
            or (self.bins or "").startswith(("uniform:", "quantile:"))
            or any(part.quantiles for parts in parse_all(self.by) for part in parts)
        )

    def further_columns(self) -> dict[str, tuple[str, str, str]]:
        """Return the columns that are neither scores, labels, weights nor ids, by role.

        For each its name, the option that names it and the `Kind` in which it is read.
        """
        found: dict[str, tuple[str, str, str]] = {}
        if self.cluster is not None:
            found["cluster"] = (self.cluster, "--cluster", "category")
        criteria = [part for parts in parse_all(self.by) for part in parts]
        whole = {part.column for part in criteria if not part.cuts}
        for part in criteria:
            found[f"by:{part.column}"] = (part.column, "--by", "category" if part.column in whole else "number")
        for name in self.show:
            found[f"show:{name}"] = (name, "--show", "text")
        return found

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Options:
        """Build options from those entries of a mapping that are options."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})  # type: ignore[arg-type]


class OptionValues(TypedDict, total=False):
    """The options as `evaluate` takes them; where several names are possible, one may be given by itself."""

    task: str
    input: str | None
    input_base: str
    format: str
    delimiter: str | None
    header: bool
    label_col: str | None
    pred_cols: str | Iterable[str]
    id_col: str | Iterable[str]
    weight_col: str | None
    sequence_col: str | None
    token_col: str | None
    token_count_col: str | None
    text_col: str | None
    bytes_col: str | None
    words_col: str | None
    classes: Iterable[object]
    positive: object
    align: str
    missing: str
    ignore_label: object
    label_smoothing: float
    label_smoothing_kind: str
    class_weights: str | Mapping[Any, float] | None
    eps: str | float | None
    row_sum: str
    on_invalid: str
    bins: str | Iterable[float] | None
    targets: str
    sigma: str | float | None
    dist: str | None
    base: str
    confidence: float
    ece_bins: int
    top: int
    cluster: str | None
    bootstrap: int | None
    seed: int
    by: str | Iterable[str]
    min_slice: int
    show: str | Iterable[str]
    calibration: bool
    models: str | Iterable[str]
    model_col: str | None
    reference: object
    jobs: int | None
    chunk_rows: int | None
    join_memory: str | int | None


def bytes_of(size: str | int) -> int | None:
    """Return how many bytes a size is, None where it is none above 0: K, M, G, T and KiB, … count by 1024, KB, … by 1000."""
    match = _SIZE.fullmatch(str(size))
    if match is None:
        return None
    number, unit = match["number"], match["unit"].upper()
    step = 1000 if unit.endswith("B") and len(unit) == 2 else 1024
    found = int(float(number) * step ** "BKMGT".index(unit[:1] or "B"))
    return found or None


def _number(value: str | float) -> float:
    """Return what a value says, NaN where it is no number."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def flag(name: str) -> str:
    """Return the command-line spelling of an option's name."""
    return "--no-header" if name == "header" else "--" + name.replace("_", "-")


class EvalPlan(NamedTuple):
    """What was decided about one evaluation. States refuse to merge across different plans.

    classes: names in the order of the scores; a binary task has (negative, positive). scale: of the scores. score_dtype:
    "text", "float64", "float32" or "float16", which sets the tolerances. eps: the clip, None for none. class_weights: in
    the order of the classes, None for 1 each. soft: whether each class has a label column with its share.
    gradients: whether those are wanted. details: what else a task was told, as names and values of the signature. own: what a
    task decided on for itself, frozen.
    """

    task: str
    scale: Scale
    input_base: str
    classes: tuple[str, ...]
    single_score: bool
    score_dtype: str
    eps: float | None
    row_sum: str
    alignment: str
    weighted: bool
    base: str
    confidence: float
    ece_bins: int
    top: int
    on_invalid: str
    smoothing: float = 0.0
    smoothing_kind: str = "uniform"
    class_weights: tuple[float, ...] | None = None
    ignored: tuple[str, ...] = ()
    missing: str = "error"
    soft: bool = False
    gradients: bool = False
    details: tuple[tuple[str, str], ...] = ()
    own: Any = None

    @property
    def unit(self) -> str:
        """The unit of every loss and entropy in the report."""
        return UNITS[self.base]

    @property
    def unit_size(self) -> float:
        """What a loss in nats is divided by to have it in the report's unit."""
        return 1.0 if self.base == "e" else math.log(float(self.base))

    @property
    def log_base(self) -> float | None:
        """The base of the log-probabilities, None for e."""
        return None if self.input_base == "e" else float(self.input_base)

    @property
    def k(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def signature(self, n: int, weight: str | None) -> str:
        """Return one line that says how a number was made, for tables and papers: `n` rows were scored."""
        parts = {
            "task": self.task,
            "input": self.scale.value + ("" if self.input_base == "e" else f"-base{self.input_base}"),
            **({"k": self.k} if self.k else {}),
            "n": n,
            "base": self.base,
            "eps": "none" if self.eps is None else repr(self.eps),
            "rows": self.row_sum,
            "align": self.alignment,
            "w": weight or "none",
            **({"smooth": f"{self.smoothing!r}-{self.smoothing_kind}"} if self.smoothing else {}),
            **({"ignore": ",".join(self.ignored)} if self.ignored else {}),
            **({"missing": "drop"} if self.missing == "drop" else {}),
            **({"invalid": "drop"} if self.on_invalid == "drop" else {}),
            **({"cw": ",".join(map(repr, self.class_weights))} if self.class_weights else {}),
            **dict(self.details),
            "v": __version__,
        }
        return "|".join(["ce", *(f"{name}:{value}" for name, value in parts.items())])

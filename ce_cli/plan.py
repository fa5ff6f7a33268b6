"""What the user asked for, and what was decided: everything that can change a number, frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, TypedDict

from ce_cli._version import __version__
from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TASKS = ("auto", "binary", "multiclass")
INPUTS = ("probs", "percent", "logits", "logprobs")
BASES = ("e", "2", "10")
UNITS = {"e": "nats", "2": "bits", "10": "bans"}
FORMATS = ("auto", "csv", "tsv", "parquet", "jsonl", "openai", "lm-eval", "fairseq", "kenlm")
ALIGNMENTS = ("auto", "id", "position")
SMOOTHINGS = ("uniform", "others")
ROW_SUMS = ("strict", "normalize", "raw")


class Scale(Enum):
    """What a score is."""

    PROBS = "probs"
    PERCENT = "percent"
    LOGITS = "logits"
    LOGPROBS = "logprobs"


@dataclass(frozen=True, slots=True)
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
    base: str = "e"
    confidence: float = 0.95
    ece_bins: int = 15
    top: int = 5
    jobs: int | None = None
    chunk_rows: int | None = None

    def __post_init__(self) -> None:
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
            "base": BASES,
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                known = ", ".join(str(choice) for choice in allowed if choice is not None)
                raise fail("bad_option", f"{flag(name)} takes one of {known}, but got {value!r}")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not 0 < self.confidence < 1:
            raise fail("bad_option", f"--confidence takes a number between 0 and 1, but got {self.confidence!r}")
        for name, least in (("ece_bins", 1), ("top", 0), ("jobs", 1), ("chunk_rows", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise fail("bad_option", f"{flag(name)} takes a whole number from {least} on, but got {value!r}")
        if not 0 <= self.label_smoothing < 1:
            raise fail(
                "bad_option", f"--label-smoothing takes a number from 0 to below 1, but got {self.label_smoothing!r}"
            )
        if self.eps is not None and self.eps != "auto":
            try:
                inside = 0 < float(self.eps) < 0.5
            except ValueError:
                inside = False
            if not inside:
                raise fail("bad_option", f"--eps takes auto or a number between 0 and 0.5, but got {self.eps!r}")
        if self.delimiter is not None and (
            len(self.delimiter) != 1 or self.delimiter in '"\r\n' or self.delimiter > "~"
        ):
            raise fail("bad_option", f"--delimiter takes one ASCII character, but got {self.delimiter!r}")
        if self.input_base != "e" and self.input not in (None, "logprobs"):
            raise fail("bad_option", f"--input-base is the base of log-probabilities, but --input says {self.input}")

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
    base: str
    confidence: float
    ece_bins: int
    top: int
    jobs: int | None
    chunk_rows: int | None


def flag(name: str) -> str:
    """Return the command-line spelling of an option's name."""
    return "--no-header" if name == "header" else "--" + name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """What was decided about one evaluation. States refuse to merge across different plans.

    classes: names in the order of the scores; a binary task has (negative, positive). scale: of the scores. score_dtype:
    "text", "float64", "float32" or "float16", which sets the tolerances. eps: the clip, None for none. class_weights: in
    the order of the classes, None for 1 each. soft: whether labels lie between the classes. details: what else a task was
    told, as names and values of the signature.
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
    details: tuple[tuple[str, str], ...] = ()

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
            "k": self.k,
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

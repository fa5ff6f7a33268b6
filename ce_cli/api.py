"""The library: what the command does, as a function."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from ce_cli.engine import Job, run
from ce_cli.errors import fail
from ce_cli.gates import judge, parse_gates
from ce_cli.outputs import check_outputs
from ce_cli.plan import INPUTS, Options
from ce_cli.readers.files import open_named
from ce_cli.readers.memory import TableData, table_of
from ce_cli.setup import prepare
from ce_cli.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ce_cli.engine import Watcher
    from ce_cli.gates import Gate
    from ce_cli.plan import OptionValues
    from ce_cli.readers.base import DataSet
    from ce_cli.render.rows import ErrorsFile, PerSampleFile, RowFile
    from ce_cli.report import Report
    from ce_cli.tasks.base import Context


def evaluate(
    predictions: Any,
    labels: Any = None,
    *,
    gates: Sequence[str] = (),
    per_sample: str | os.PathLike[str] | None = None,
    errors: str | os.PathLike[str] | None = None,
    per_sequence: str | os.PathLike[str] | None = None,
    **options: Unpack[OptionValues],
) -> Report:
    """Evaluate predictions against labels.

    predictions: a path (file, folder or glob), an Arrow table or anything that speaks its C stream interface, a pandas
    frame, or a NumPy array: `(n,)` scores of the positive class or `(n, k)` scores of K classes. labels: the same, `(n,)`
    as an array; None where a column of the predictions holds them. gates: expressions, see the documentation of gates.
    per_sample, errors, per_sequence: files to write, as the options of that name do. options: every field of `Options`, named
    as the command-line options are, with underscores; a list where an option takes several names.

    Returns the report; `report.passed` tells the verdict of the gates. Raises CeError where the input or an option is at
    fault, with every problem found.
    """
    parsed = parse_gates(tuple(gates))
    chosen = options_from(dict(options))
    mine = _opened(predictions, chosen, "predictions", twice=labels is not None)
    other = None if labels is None else _opened(labels, chosen, "labels", twice=True)
    paths = [None if path is None else os.fspath(path) for path in (per_sample, errors, per_sequence)]
    inputs = [os.fspath(data) for data in (predictions, labels) if isinstance(data, (str, os.PathLike))]
    check_outputs(paths[0], paths[1], inputs, paths[2])
    return evaluate_data(mine, other, chosen, parsed, per_sample=paths[0], errors=paths[1], per_sequence=paths[2])


def evaluate_data(
    predictions: DataSet,
    labels: DataSet | None,
    options: Options,
    gates: tuple[Gate, ...] = (),
    *,
    per_sample: str | None = None,
    errors: str | None = None,
    per_sequence: str | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Evaluate opened data sets; what the command and `evaluate` have in common."""
    with contextlib.ExitStack() as files:
        context = prepare(predictions, labels, options, verbatim=per_sample is not None)
        sinks: list[RowFile] = [files.enter_context(sink) for sink in _sinks(context, per_sample, errors)]
        if per_sequence is not None:
            from ce_cli.render.sequences import PerSequenceFile

            sinks.append(files.enter_context(PerSequenceFile(per_sequence, context)))
        outcome = run(Job(predictions, labels, context, options), sinks, watcher)
        report = summarize(context, outcome, predictions, labels)
    return report.with_gates(tuple(judge(gate, report) for gate in gates))


def _sinks(context: Context, per_sample: str | None, errors: str | None) -> Iterator[PerSampleFile | ErrorsFile]:
    if per_sample is None and errors is None:
        return
    from ce_cli.render.rows import ErrorsFile, PerSampleFile

    if per_sample is not None:
        yield PerSampleFile(per_sample, context)
    if errors is not None:
        yield ErrorsFile(errors, context)


def options_from(values: dict[str, Any]) -> Options:
    """Build options from keyword arguments."""
    known = set(Options.__dataclass_fields__)
    unknown = sorted(set(values) - known)
    if unknown:
        raise fail(
            "bad_option", f"there is no option {unknown[0]!r}", hint=f"the options are: {', '.join(sorted(known))}"
        )
    return Options.from_mapping({name: _as_option(name, value) for name, value in values.items()})


def _as_option(name: str, value: Any) -> Any:
    """Return a value as the command line would give it: names are text, several of them a tuple."""
    if Options.__dataclass_fields__[name].default == ():
        several = isinstance(value, Iterable) and not isinstance(value, str)
        return tuple(str(part) for part in value) if several else (str(value),)
    if name == "positive" and value is not None:
        return str(value)
    if name == "class_weights" and isinstance(value, Mapping):
        return {str(label): weight for label, weight in value.items()}
    return value


def _opened(data: Any, options: Options, role: str, *, twice: bool) -> DataSet:
    if isinstance(data, (str, os.PathLike)):
        return open_named(os.fspath(data), options, twice=twice)
    column = "label"
    if role == "predictions":
        scale = options.input if options.input in INPUTS else "probs"
        column = {"logits": "logit", "logprobs": "logprob"}.get(scale or "probs", "prob")
    return TableData(f"<{role}>", table_of(data, column))

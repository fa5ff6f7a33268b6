"""The library: what the command does, as a function."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Unpack

from ce_cli.engine import Job, run
from ce_cli.errors import fail
from ce_cli.keywords import options_from, path_from, texts_from
from ce_cli.outputs import check_outputs
from ce_cli.plan import INPUTS, Options
from ce_cli.readers.files import open_named
from ce_cli.readers.memory import TableData, indexes_tell, table_of
from ce_cli.setup import prepare
from ce_cli.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ce_cli.comparison import Comparison
    from ce_cli.engine import Watcher
    from ce_cli.gates.verdict import Gate
    from ce_cli.plan import OptionValues
    from ce_cli.readers.base import DataSet
    from ce_cli.render.rows import RowFile
    from ce_cli.report import Report
    from ce_cli.tasks.base import Context

# What evaluate() takes beside options.
_ARGUMENTS = ("predictions", "labels", "baseline", "gates", "per_sample", "per_sequence", "gradients", "errors")
_GATE = "gates=['cross_entropy < 0.35', 'accuracy > 90%']"


def evaluate(
    predictions: Any,
    labels: Any = None,
    *,
    gates: str | Sequence[str] = (),
    per_sample: str | os.PathLike[str] | None = None,
    gradients: str | os.PathLike[str] | None = None,
    errors: str | os.PathLike[str] | None = None,
    per_sequence: str | os.PathLike[str] | None = None,
    baseline: Report | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    **options: Unpack[OptionValues],
) -> Report:
    """Evaluate predictions against labels.

    predictions: a path (file, folder or glob), an Arrow table or anything that speaks its C stream interface, a pandas
    frame, or a NumPy array: `(n,)` scores of the positive class or `(n, k)` scores of K classes. labels: the same, `(n,)`
    as an array; None where a column of the predictions holds them. gates: expressions, see the documentation of gates.
    per_sample, per_sequence, gradients, errors: files to write, as the options of that name do. baseline: an earlier report,
    as `evaluate` returned it, its `to_dict()` or a JSON file: then there are `report.deltas`. options: the fields of `Options`,
    named as the command-line options are, with underscores; a list where an option takes several names.

    Returns the report; `report.passed` tells the verdict of the gates. Raises CeError where the input or an option is at
    fault, with every problem found.
    """
    parsed = parsed_gates(texts_from("gates", gates, _GATE))
    chosen = options_from(dict(options), beside=_ARGUMENTS)
    _check_one_model(predictions, chosen)
    indexed = indexes_tell(predictions, labels)
    mine = _opened(predictions, chosen, "predictions", twice=labels is not None or chosen.looks_first, indexed=indexed)
    other = None if labels is None else _opened(labels, chosen, "labels", twice=True, indexed=indexed)
    named = {"per_sample": per_sample, "per_sequence": per_sequence, "gradients": gradients, "errors": errors}
    outputs = {name: path_from(name, path) for name, path in named.items() if path is not None}
    inputs = [os.fspath(data) for data in (predictions, labels) if isinstance(data, (str, os.PathLike))]
    check_outputs(outputs, inputs)
    return evaluate_data(mine, other, chosen, parsed, outputs=outputs, baseline=baseline)


def _check_one_model(predictions: Any, options: Options) -> None:
    """Raise bad_option where several models are to be evaluated."""
    several = [name for name in ("models", "model_col", "reference") if getattr(options, name)]
    if several:
        raise fail(
            "bad_option",
            f"evaluate() is for one model, but got {' and '.join(several)}",
            hint="compare() takes models, model_col and reference",
        )
    if isinstance(predictions, (list, tuple)) and predictions and all(map(_is_path, predictions)):
        raise fail(
            "bad_option",
            f"evaluate() is for one model, but got a list of {len(predictions)} paths",
            hint="several models: compare({'old': 'old.csv', 'new': 'new.csv'}, labels); the parts of one file: a folder or "
            "a pattern such as 'parts/*.csv'",
        )


def _is_path(value: Any) -> bool:
    """Tell whether a value is a path, and no number that is written as text."""
    if not isinstance(value, str):
        return isinstance(value, os.PathLike)
    try:
        float(value)
    except ValueError:
        return True
    return False


def evaluate_data(
    predictions: DataSet,
    labels: DataSet | None,
    options: Options,
    gates: tuple[Gate, ...] = (),
    *,
    outputs: Mapping[str, str] = MappingProxyType({}),
    watcher: Watcher | None = None,
    forks: bool = False,
    baseline: Any = None,
) -> Report:
    """Evaluate opened data sets; what the command and `evaluate` have in common.

    outputs: files by option, `-` for stdout. forks: whether the process may be forked for a part of the work. baseline: an
    earlier report.
    """
    before = None
    if baseline is not None:
        from ce_cli.baseline import baseline_of

        before = baseline_of(baseline)
    with contextlib.ExitStack() as files:
        context = prepare(
            predictions, labels, options, verbatim="per_sample" in outputs, gradients="gradients" in outputs
        )
        sinks = [files.enter_context(sink) for sink in _sinks(context, outputs)]
        outcome = run(Job(predictions, labels, context, options), sinks, watcher, forks=forks)
        report = summarize(context, options, outcome, predictions, labels)
    if before is not None:
        from ce_cli.comparing.judgement import against

        report = against(report, before)
    return _judged(report, gates) if gates else report


def compare(
    predictions: Any,
    labels: Any = None,
    *,
    baseline: Any = None,
    gates: str | Sequence[str] = (),
    **options: Unpack[OptionValues],
) -> Comparison:
    """Compare several models on the same rows.

    predictions: a mapping of names to what `evaluate` takes as predictions, the reference first; or, with the option `models`
    or `model_col`, one such thing that holds them all. labels: as `evaluate` takes them; None where a column of the first
    predictions (or of the one file) holds them. baseline: further predictions, which become the reference. gates: expressions;
    each must hold for every candidate. options: as those of `evaluate`, and `reference`, the name of another reference.

    Rows are paired by id; where nothing has an id, `align="position"` says that they stand in the same order. Returns the
    comparison; `comparison.passed` tells the verdict of the gates. Raises CeError where the input or an option is at fault.
    """
    parsed = parsed_gates(texts_from("gates", gates, _GATE))
    chosen = options_from(dict(options), beside=("predictions", "labels", "baseline", "gates"))
    if not isinstance(predictions, Mapping) and not chosen.compares and baseline is None:
        raise fail(
            "bad_option",
            "compare takes a mapping of names to predictions, or one that holds all models with `models` or `model_col`",
            hint="compare({'old': 'old.csv', 'new': 'new.csv'}, 'labels.csv')",
        )
    given = predictions if isinstance(predictions, Mapping) else {"predictions": predictions}
    if not given:
        raise fail("bad_option", "there are no predictions to compare: the mapping is empty")
    if baseline is not None:
        given = _with_baseline(baseline, given)
    lacking = [repr(str(name)) for name, data in given.items() if data is None]
    if lacking:
        raise fail("bad_option", f"there are no predictions for {' and '.join(lacking)}: got None")
    if len({str(name) for name in given}) < len(given):
        raise fail("bad_option", "two models have the same name", hint=f"they are {', '.join(map(repr, given))}")
    indexed = indexes_tell(*given.values(), labels)
    opened = {
        str(name): _opened(data, chosen, "predictions", twice=True, indexed=indexed, name=str(name))
        for name, data in given.items()
    }
    other = None if labels is None else _opened(labels, chosen, "labels", twice=True, indexed=indexed)
    return compare_data(opened, other, chosen, parsed)


def _with_baseline(baseline: Any, given: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the models with further predictions as the first. Raises bad_option where those are an earlier report."""
    from ce_cli.baseline import is_earlier_report

    if is_earlier_report(baseline):
        raise fail(
            "bad_option",
            "baseline: compare pairs rows, and an earlier report has none",
            hint="pass the predictions of the baseline, or the report as the baseline of evaluate()",
        )
    if "baseline" in given:
        raise fail("bad_option", "baseline: one of the models is called 'baseline' already", hint="call it otherwise")
    return {"baseline": baseline, **given}


def compare_data(
    predictions: Mapping[str, DataSet],
    labels: DataSet | None,
    options: Options,
    gates: tuple[Gate, ...] = (),
    *,
    watcher: Watcher | None = None,
) -> Comparison:
    """Compare opened data sets by name; what the command and `compare` have in common."""
    from ce_cli.comparing.entrants import of_columns, of_files, of_rows, with_reference
    from ce_cli.comparing.judgement import compared
    from ce_cli.comparing.pairing import run_together

    if options.compares and len(predictions) > 1:
        flag = "--models" if options.models else "--model-col"
        raise fail(
            "bad_option", f"{flag} is for one PREDICTIONS that holds all models, but there are {len(predictions)}"
        )
    (first, *_) = predictions.values()
    if options.models:
        entrants = of_columns(first, labels, options)
    elif options.model_col is not None:
        entrants = of_rows(first, labels, options)
    else:
        entrants = of_files(predictions, labels, options)
    entrants = with_reference(entrants, options.reference)
    if entrants[0].context.plan.task == "tokens":
        from ce_cli.comparing.sequences import run_sequences

        comparison = compared(run_sequences(entrants, options, watcher))
    else:
        comparison = compared(run_together(entrants, options, watcher))
    if not gates:
        return comparison
    from ce_cli.gates.verdict import judge_models

    reports = {model.name: model.report for model in comparison.models}
    candidates = [model.name for model in comparison.candidates]
    return comparison.with_gates(tuple(one for gate in gates for one in judge_models(gate, reports, candidates)))


def parsed_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Return gates by their expressions; what gates need is imported only where there are any."""
    if not texts:
        return ()
    from ce_cli.gates.grammar import parse_gates

    return parse_gates(texts)


def _judged(report: Report, gates: Sequence[Gate]) -> Report:
    from ce_cli.gates.verdict import judge

    return report.with_gates(tuple(judge(gate, report) for gate in gates))


def _sinks(context: Context, outputs: Mapping[str, str]) -> Iterator[RowFile]:
    if not outputs:
        return
    from ce_cli.render.gradients import GradientFile
    from ce_cli.render.rows import ErrorsFile, PerSampleFile
    from ce_cli.render.sequences import PerSequenceFile

    kinds: dict[str, Callable[[str, Context], RowFile]] = {
        "per_sample": PerSampleFile,
        "per_sequence": PerSequenceFile,
        "gradients": GradientFile,
        "errors": ErrorsFile,
    }
    for name, path in outputs.items():
        yield kinds[name](path, context)


def _opened(
    data: Any, options: Options, role: str, *, twice: bool, indexed: bool = False, name: str | None = None
) -> DataSet:
    if isinstance(data, (str, os.PathLike)):
        return open_named(os.fspath(data), options, twice=twice)
    column = "label"
    if hasattr(data, "to_json") and hasattr(data, "passed"):
        raise fail(
            "bad_option",
            f"the {role} are a {type(data).__name__}, which is the result of an evaluation and has no rows",
            hint="pass the predictions and the labels that it was made from; evaluate() takes a Report as its baseline",
        )
    if role == "predictions":
        scale = options.input if options.input in INPUTS else "probs"
        column = {"logits": "logit", "logprobs": "logprob"}.get(scale or "probs", "prob")
    return TableData(f"<{name or role}>", table_of(data, column, indexed=indexed))

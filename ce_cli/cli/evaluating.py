"""Options to a report or a comparison, and that to an output and an exit code. No arithmetic happens here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ce_cli.cli.output import guarded, progress_of, show_comparison, show_failed_gates, show_report, tables_of
from ce_cli.errors import CeError, ExitCode, Problem, fail
from ce_cli.process import keep_freed_memory

if TYPE_CHECKING:
    from ce_cli.gates.verdict import Gate
    from ce_cli.plan import Options


def evaluate_command(values: dict[str, Any]) -> int:
    """Evaluate as the options say, print the result, and return the exit code."""
    from ce_cli.api import evaluate_data, parsed_gates
    from ce_cli.plan import Options

    keep_freed_memory()
    if not values["predictions"]:
        raise fail(
            "bad_option",
            "no predictions were named",
            hint="ce-eval predictions.csv --labels labels.csv; - is standard input",
        )
    gates = parsed_gates(values["gate"])
    options = Options.from_mapping(
        {
            **values,
            "header": not values["no_header"],
            "pred_cols": values["pred_cols"] or (),
            "classes": values["classes"] or (),
            "models": values["models"] or (),
            "show": values["show"] or (),
        }
    )
    baseline = _baseline(values["baseline"], options)
    if options.compares or len(values["predictions"]) > 1 or baseline == "predictions":
        return _compare_command(values, options, gates, baseline)
    path = _path(values["predictions"][0])
    labels_path = values["labels"]
    _check_outputs(values, (path, labels_path))
    if options.reference is not None:
        raise fail("bad_option", "--reference names one of several models, but there is only one")

    from ce_cli.readers.files import open_both

    predictions, labels = open_both(path, labels_path, options)
    with progress_of(values, options, [predictions, labels]) as progress:
        report = evaluate_data(
            predictions,
            labels,
            options,
            gates,
            outputs=tables_of(values),
            watcher=progress,
            forks=True,
            baseline=values["baseline"],
        )
    code = ExitCode.OK if report.passed else ExitCode.GATE_FAILED
    if values["quiet"]:
        show_failed_gates(report)
    return guarded(partial(show_report, report, values), code)


def _compare_command(values: dict[str, Any], options: Options, gates: tuple[Gate, ...], baseline: str | None) -> int:
    """Compare several models as the options say, print the result, and return the exit code."""
    from ce_cli.api import compare_data
    from ce_cli.comparing.entrants import with_names
    from ce_cli.readers.files import open_several

    if baseline == "report":
        raise fail(
            "bad_option",
            "a report as --baseline is for one PREDICTIONS, but here several models are compared",
            hint="name the predictions of the baseline instead: their rows can be paired with the others",
        )
    unfit = next(iter(tables_of(values)), None)
    if unfit is not None:
        flag = unfit.replace("_", "-")
        raise fail(
            "bad_option", f"--{flag} is for one model, but several are compared", hint="evaluate that one by itself"
        )
    first = [] if values["baseline"] is None else [values["baseline"]]
    paths = with_names([*first, *values["predictions"]])
    labels_path = values["labels"]
    _check_outputs(values, (*paths.values(), labels_path))
    files, labels = open_several(paths, labels_path, options)
    with progress_of(values, options, [*files.values(), labels]) as progress:
        comparison = compare_data(files, labels, options, gates, watcher=progress)
    code = ExitCode.OK if comparison.passed else ExitCode.GATE_FAILED
    if values["quiet"]:
        show_failed_gates(comparison)
    return guarded(partial(show_comparison, comparison, values), code)


def _baseline(path: str | None, options: Options) -> str | None:
    """Return what a baseline is: "predictions", or "report"; None where there is none."""
    if path is None:
        return None
    from ce_cli.baseline import is_report

    if options.compares:
        raise fail(
            "bad_option", "--baseline names a file of its own, but --models and --model-col name parts of one file"
        )
    return "report" if is_report(path) else "predictions"


def _path(argument: str) -> str:
    """Return the path of PREDICTIONS, which may have been given a name."""
    if "=" not in argument:
        return argument
    from ce_cli.comparing.entrants import split_name

    return split_name(argument)[1]


def _check_outputs(values: dict[str, Any], inputs: tuple[str | None, ...]) -> None:
    problems = []
    if inputs.count("-") > 1:
        both = "predictions and labels cannot both" if len(inputs) == 2 else "only one of the files can"
        problems.append(Problem("bad_option", f"{both} come from standard input"))
    if values["json"] and values["quiet"]:
        problems.append(Problem("bad_option", "--json and --quiet exclude each other"))
    tables = tables_of(values)
    streamed = [name for name, file in tables.items() if file == "-"]
    if streamed and (values["json"] or values["quiet"]):
        message = f"--{streamed[0].replace('_', '-')} - and the report cannot share standard output"
        problems.append(Problem("bad_option", message, hint="name a file instead"))
    if problems:
        raise CeError(*problems)
    if tables:
        from ce_cli.outputs import check_outputs

        check_outputs(tables, inputs, stream=True)

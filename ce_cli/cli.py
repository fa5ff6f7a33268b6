"""The command: options to a report, a report to an output, an outcome to an exit code. No arithmetic happens here.

Nothing heavy is imported before the options are known to be right, so that `--help` and `--version` are immediate.
"""

from __future__ import annotations

import csv
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ce_cli._version import __version__
from ce_cli.config import Setting, load_config
from ce_cli.errors import CeError, ExitCode, fail
from ce_cli.plan import ALIGNMENTS, BASES, FORMATS, INPUTS, ROW_SUMS, SMOOTHINGS, TASKS, USUAL_REPLICATES
from ce_cli.process import keep_freed_memory, leave_on_terminate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ce_cli.comparison import Comparison
    from ce_cli.gates import Gate
    from ce_cli.plan import Options
    from ce_cli.report import Report


_TABLES = ("per_sample", "per_sequence", "gradients", "errors")
SECTIONS = ("Input", "Scoring", "Statistics", "Output", "Gates", "Work")


class Line(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Text that may hold spaces; several in an environment variable stand on a line each."""

    name = "text"
    envvar_list_splitter = "\n"

    def __init__(self, name: str = "text") -> None:
        self.name = name


class Names(click.ParamType):  # type: ignore[type-arg]  # likewise
    """Names separated by commas, quoted as in CSV where one holds a comma."""

    name = "A,B,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split the names."""
        if isinstance(value, (list, tuple)):
            return tuple(str(name) for name in value)
        names = tuple(next(csv.reader([value]), []))
        if not names or not all(names):
            self.fail(f"expected names separated by commas, but got {value!r}", param, ctx)
        return names


class Replicates(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A number that may be left out."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number; a path in its place was meant to be an argument."""
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is no number of replicates; write --bootstrap=N, or name the files first", param, ctx)


class SectionedCommand(click.Command):
    """A command whose help groups its options as the documentation does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if not isinstance(param, click.Option):
                continue
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(section_of(param), []).append(record)
        for title in SECTIONS:
            with formatter.section(title):
                formatter.write_dl(sections[title], col_max=26)


class SectionedOption(click.Option):
    """An option that knows its section."""

    def __init__(self, *names: Any, section: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.section = section


def section_of(param: click.Parameter) -> str:
    """Return the title under which the help shows a parameter."""
    return param.section if isinstance(param, SectionedOption) else "Work"


def option(section: str) -> Callable[..., Callable[[Any], Any]]:
    """Return `click.option` for one section of the help."""

    def decorate(*names: str, **settings: Any) -> Callable[[Any], Any]:
        return click.option(*names, cls=SectionedOption, section=section, **settings)

    return decorate


_input, _scoring, _statistics = option("Input"), option("Scoring"), option("Statistics")
_output, _gates, _work = option("Output"), option("Gates"), option("Work")


def _configured(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    settings = {
        param.name: Setting(
            several=bool(getattr(param, "multiple", False)),
            takes_list=isinstance(param.type, Names),
            negatable=bool(param.secondary_opts),
        )
        for param in ctx.command.params
        if param.name is not None
    }
    ctx.default_map = load_config(value, settings)
    return value


def _noted(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Remember how errors are to be shown, also those in the options that come later."""
    if isinstance(ctx.obj, dict) and param.name is not None:
        ctx.obj[param.name] = value
    return value


@click.command(
    cls=SectionedCommand,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CE_EVAL", "max_content_width": 100},
    epilog="Every option is also an environment variable (CE_EVAL_LABELS, …) and a key of ce-eval.toml or of "
    "[tool.ce-eval] in pyproject.toml. Exit codes: 0 evaluated and every gate passed, 1 a gate failed, 2 the input or an "
    "option is at fault, 70 a defect of ce-eval, 130 interrupted.",
)
@click.argument("predictions", nargs=-1, metavar="PREDICTIONS")
@_work(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_configured,
    help="Options from a TOML file instead of ce-eval.toml or pyproject.toml.",
)
@_input("-l", "--labels", metavar="FILE", help="File with the labels; without it they are a column of PREDICTIONS.")
@_input(
    "-t",
    "--task",
    type=click.Choice(TASKS),
    default="auto",
    help="What is predicted.",
)
@_input(
    "-i",
    "--input",
    type=click.Choice(INPUTS),
    help="Scale of the scores; by default what the column names say, else probs.",
)
@_input("--input-base", type=click.Choice(BASES), default="e", help="Base of log-probabilities.")
@_input(
    "--format",
    type=click.Choice(FORMATS),
    default="auto",
    help="Format of the files; lines: the log-probabilities of a sequence on each; jsonl: any of one JSON object per line. "
    "Compression (gz, bz2, zst) is recognised.",
)
@_input("--delimiter", metavar="C", help="Character between the cells of text files.")
@_input("--no-header", is_flag=True, help="Text files have no header; their columns are called 1, 2, ….")
@_input("--label-col", metavar="NAME", help="Column of the label.")
@_input("--pred-cols", type=Names(), metavar="A,B,…", help="Score columns, names or patterns (prob_*), in class order.")
@_input(
    "--models",
    type=Names(),
    metavar="A,B,…",
    help="Compare models that are columns of one file: names or patterns; NAME stands for NAME_prob_CLASS… too.",
)
@_input(
    "--model-col", metavar="NAME", help="Compare models that are rows of one file: column that says whose a row is."
)
@_input(
    "--id-col",
    multiple=True,
    type=Line("NAME"),
    help="Key column of both files, or NAME=NAME where they call it differently (repeatable).",
)
@_input("--weight-col", metavar="NAME", help="Column of the weights; none weighs unless it is named here.")
@_input(
    "--sequence-col",
    metavar="NAME",
    help="Tokens: column that names the sequence (sentence, document) of a row; its rows stand together.",
)
@_input("--token-col", metavar="NAME", help="Tokens: column of the token.")
@_input(
    "--token-count-col",
    metavar="NAME",
    help="Tokens: column of the number of tokens that a row's log-probability is the sum of.",
)
@_input("--text-col", metavar="NAME", help="Tokens: column of the sequence's text, whose bytes and words are counted.")
@_input("--bytes-col", metavar="NAME", help="Tokens: column of the bytes of a row.")
@_input("--words-col", metavar="NAME", help="Tokens: column of the words of a row.")
@_input(
    "--classes", type=Names(), metavar="a,b,c", help="Classes: the order of named ones, the names of nameless ones."
)
@_input("--positive", metavar="NAME", help="Positive class of a binary task.")
@_input(
    "--align",
    type=click.Choice(ALIGNMENTS),
    default="auto",
    help="How rows of the two files pair; auto: by id where both have one.",
)
@_input(
    "--missing",
    type=click.Choice(["error", "drop"]),
    default="error",
    help="What to do with ids that only one file has.",
)
@_scoring("--ignore-label", multiple=True, type=Line("VALUE"), help="Label whose rows are left out (repeatable).")
@_scoring(
    "--label-smoothing",
    type=float,
    default=0.0,
    metavar="E",
    help="Share of each label spread over the classes.  [default: 0]",
)
@_scoring(
    "--label-smoothing-kind",
    type=click.Choice(SMOOTHINGS),
    default="uniform",
    help="Spread it over all classes, or over the others.",
)
@_scoring(
    "--class-weights",
    metavar="a=1,…|FILE|balanced",
    help="What the classes weigh in the mean, 1 where not named; FILE has lines of a class and its weight; balanced: each "
    "class counts the same.",
)
@_scoring("--eps", metavar="X|auto", help="Clip probabilities to [X, 1-X]; auto: the epsilon of the file's type.")
@_scoring(
    "--row-sum",
    type=click.Choice(ROW_SUMS),
    default="strict",
    help="Rows that do not sum to 1: refuse them, divide them by their sum, or score them as they are.",
)
@_scoring(
    "--on-invalid",
    type=click.Choice(["error", "drop"]),
    default="error",
    help="What to do with invalid rows.",
)
@_scoring(
    "--bins",
    metavar="EDGES",
    help="Bins of a regression: edges 0,1,2,4 (-inf and inf too), uniform:K or quantile:K over the targets, or a file.",
)
@_scoring(
    "--targets",
    type=click.Choice(["hard", "hl-gauss", "two-hot"]),
    default="hard",
    help="Spread the target over bins: not at all, by a normal distribution, or over the two nearest centres.",
)
@_scoring(
    "--sigma",
    metavar="S|auto",
    help="Standard deviation around a point prediction (auto: that of the residuals), or of --targets hl-gauss.",
)
@_scoring(
    "--dist",
    type=click.Choice(["normal", "laplace", "logistic"]),
    help="Distribution around a predicted mean; normal where nothing is said.",
)
@_scoring("--errors", metavar="FILE", help="Write every invalid row to this CSV file.")
@_scoring(
    "--base",
    type=click.Choice(BASES),
    default="e",
    help="Unit of losses and entropies: nats, bits or bans.",
)
@_statistics("--confidence", type=float, default=0.95, metavar="P", help="Level of the intervals.  [default: 0.95]")
@_statistics(
    "--bootstrap",
    type=Replicates(),
    is_flag=False,
    flag_value=str(USUAL_REPLICATES),
    metavar="[N]",
    help=f"Intervals of loss, accuracy and Brier score from N resamples of the rows, or of whole clusters or sequences; "
    f"{USUAL_REPLICATES} where N is left out.",
)
@_statistics("--seed", type=int, default=0, metavar="S", help="Seed of what is drawn at random.  [default: 0]")
@_statistics("--ece-bins", type=int, default=15, metavar="N", help="Bins of the calibration error.  [default: 15]")
@_statistics(
    "--calibration",
    is_flag=True,
    help="Reliability bins, the parts of the loss, and what a temperature fitted on held-out folds would save.",
)
@_statistics(
    "--top",
    type=int,
    default=5,
    metavar="K",
    help="How many of the worst rows to show, and of those that differ most between models.  [default: 5]",
)
@_statistics(
    "--cluster", metavar="COL", help="Column of either file whose rows with the same value depend on each other."
)
@_statistics(
    "--by",
    multiple=True,
    type=Line("COL"),
    help="Evaluate slices by a column of either file; a*b crosses two, COL:quantiles=4 or COL:edges=0,10,20 cut numbers "
    "(repeatable).",
)
@_statistics(
    "--min-slice",
    type=int,
    default=30,
    metavar="N",
    help="Fewest rows of a slice that is judged by itself.  [default: 30]",
)
@_statistics("--reference", metavar="NAME", help="Model with which the others are compared; by default the first.")
@_statistics(
    "--show", type=Names(), metavar="A,B,…", help="Columns of either file that are shown of each row of --top."
)
@_output("--json", is_flag=True, is_eager=True, callback=_noted, help="Print the report, or what is wrong, as JSON.")
@_output("-q", "--quiet", is_flag=True, help="Print the cross-entropy and nothing else.")
@_output("--per-sample", metavar="FILE|-", help="Write the loss of every row (.csv or .parquet; - for CSV on stdout).")
@_output(
    "--gradients",
    metavar="FILE|-",
    help="Write the gradient of the mean loss by the logits of every row (.csv or .parquet; - for CSV on stdout).",
)
@_output(
    "--per-sequence",
    metavar="FILE|-",
    help="Tokens: write the loss of every sequence (.csv or .parquet; - for CSV on stdout).",
)
@_output("--progress/--no-progress", default=None, help="Show progress; by default on a terminal.")
@_output("--color/--no-color", default=None, help="Colour the table; by default on a terminal.")
@_gates("--gate", multiple=True, type=Line("EXPR"), help="Condition such as 'cross_entropy.upper < 0.35' (repeatable).")
@_gates(
    "--baseline",
    metavar="FILE",
    help="What delta gates compare with: predictions, which become the reference, or an earlier report of --json.",
)
@_work(
    "-j",
    "--jobs",
    type=int,
    metavar="N",
    help="Threads or processes; no number changes with it.  [default: all processors]",
)
@_work(
    "--chunk-rows",
    type=int,
    metavar="N",
    help="Most rows in one piece of work, which is of a few megabytes at most; no number changes with it.",
)
@_work(
    "--join-memory",
    metavar="SIZE",
    help="Most memory for labels joined in another order, such as 500M or 1.5GiB.  [default: a quarter of the machine's]",
)
@_work("--debug", is_flag=True, is_eager=True, callback=_noted, help="Show the traceback of a defect.")
@click.version_option(__version__, prog_name="ce-eval", message="%(prog)s %(version)s")
def command(**values: Any) -> int:
    """Tell how good predicted probabilities are.

    Reads the predictions and the labels, checks every row, and prints their cross-entropy and what it means.

    Two PREDICTIONS or more are compared on the same rows, each with the first; name=path gives one a name.

    PREDICTIONS is a file (CSV, TSV, Parquet, JSON Lines, or what language models write), a folder or a quoted pattern of the
    parts of one data set, or - for standard input.

    \b
      ce-eval predictions.csv --labels labels.csv
      ce-eval predictions.csv -l labels.csv --json | jq .metrics.skill.value
      ce-eval predictions.csv -l labels.csv --gate 'cross_entropy < 0.35'
      ce-eval old=a.csv new=b.csv -l labels.csv --gate 'delta.cross_entropy.upper < 0.005'
    """
    return evaluate_command(values)


def run(arguments: Sequence[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    leave_on_terminate()
    # What the options say of errors, as far as they were read: a fault may lie in the options themselves.
    display = {"json": "--json" in arguments, "debug": "--debug" in arguments}
    try:
        # Not command.main(), which would turn a closed pipe into exit code 1: that of a failed gate.
        with command.make_context("ce-eval", list(arguments), obj=display) as context:
            return int(command.invoke(context) or 0)
    except click.exceptions.Exit as exit_:
        return int(exit_.exit_code)
    except CeError as error:
        return _guarded(partial(_show_error, error, as_json=display["json"]), ExitCode.ERROR)
    except click.UsageError as error:
        told = fail("bad_option", error.format_message(), hint="ce-eval --help lists the options")
        return _guarded(partial(_show_error, told, as_json=display["json"]), ExitCode.ERROR)
    except BrokenPipeError:
        return _guarded(_forget_stdout, ExitCode.OK)
    except (KeyboardInterrupt, click.Abort):
        return int(ExitCode.INTERRUPTED)
    except OSError as error:  # a disk that is full, an output that went away: reading has errors of its own
        told = fail("unwritable_output", error.strerror or str(error), file=error.filename)
        return _guarded(partial(_show_error, told, as_json=display["json"]), ExitCode.ERROR)
    except Exception as error:  # a defect: one line, not a screen of internals
        if display["debug"]:
            raise
        from ce_cli.render.errors import render_defect

        _print(render_defect(error), sys.stderr)
        return int(ExitCode.DEFECT)


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
    with _progress(values, options, [predictions, labels]) as progress:
        report = evaluate_data(
            predictions,
            labels,
            options,
            gates,
            outputs=_tables(values),
            watcher=progress,
            forks=True,
            baseline=values["baseline"],
        )
    code = ExitCode.OK if report.passed else ExitCode.GATE_FAILED
    if values["quiet"]:
        _show_failed_gates(report)
    return _guarded(partial(_show_report, report, values), code)


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
    unfit = next((name for name in _TABLES if values[name] is not None), None)
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
    with _progress(values, options, [*files.values(), labels]) as progress:
        comparison = compare_data(files, labels, options, gates, watcher=progress)
    code = ExitCode.OK if comparison.passed else ExitCode.GATE_FAILED
    if values["quiet"]:
        _show_failed_gates(comparison)
    return _guarded(partial(_show_comparison, comparison, values), code)


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
    if inputs.count("-") > 1:
        both = "predictions and labels cannot both" if len(inputs) == 2 else "only one of the files can"
        raise fail("bad_option", f"{both} come from standard input")
    if values["json"] and values["quiet"]:
        raise fail("bad_option", "--json and --quiet exclude each other")
    tables = _tables(values)
    streamed = [name for name, file in tables.items() if file == "-"]
    if streamed and (values["json"] or values["quiet"]):
        raise fail(
            "bad_option",
            f"--{streamed[0].replace('_', '-')} - and the report cannot share standard output",
            hint="name a file instead",
        )
    if tables:
        from ce_cli.outputs import check_outputs

        check_outputs(tables, inputs, stream=True)


def _tables(values: dict[str, Any]) -> dict[str, str]:
    """Return the files with a line per row that are wanted, by their options."""
    return {name: values[name] for name in _TABLES if values[name] is not None}


def _progress(values: dict[str, Any], options: Options, files: Sequence[Any]) -> Any:
    from ce_cli.render.progress import NoProgress, Progress

    wanted = values["progress"]
    if wanted is None:
        wanted = sys.stderr is not None and sys.stderr.isatty()
    if not wanted:
        return NoProgress()
    there = [data for data in files if data is not None]
    sizes = [data.total_bytes for data in there]
    total = None if None in sizes else sum(sizes)
    rows, task = there[0].rows(), ""
    if options.bootstrap is not None:
        from ce_cli.judging.bootstrap import cost

        task = f"bootstrap {options.bootstrap:,}"
        _print(f"ce-eval: {cost(options, rows)}", sys.stderr)
    return Progress(total_bytes=total, total_rows=rows, stream=sys.stderr, task=task)


def _show_report(report: Report, values: dict[str, Any]) -> None:
    if values["json"]:
        _print(report.to_json(indent=2), sys.stdout)
    elif values["quiet"]:
        _print(repr(report.cross_entropy.value), sys.stdout)
    else:
        from ce_cli.render.table import render_table

        stream = sys.stderr if "-" in _tables(values).values() else sys.stdout
        _print(render_table(report, width=_width(stream), color=_colored(values["color"], stream)), stream)


def _show_comparison(comparison: Comparison, values: dict[str, Any]) -> None:
    from ce_cli.render.text import safe

    if values["json"]:
        _print(comparison.to_json(indent=2), sys.stdout)
    elif values["quiet"]:
        loss = {rank.model: rank.cross_entropy.value for rank in comparison.ranking}  # on the common rows
        lines = [f"{safe(model.name)}\t{loss[model.name]!r}" for model in comparison.models]
        _print("\n".join(lines), sys.stdout)
    else:
        from ce_cli.render.comparison import render_comparison

        color = _colored(values["color"], sys.stdout)
        _print(render_comparison(comparison, width=_width(sys.stdout), color=color), sys.stdout)


def _show_failed_gates(report: Report | Comparison) -> None:
    from ce_cli.render.text import safe

    for gate in report.gates:
        if not gate.passed:
            why = gate.reason or f"observed {gate.observed!r}"
            whose = "" if gate.model is None else f"{safe(gate.model)}: "
            _print(f"ce-eval: gate failed: {whose}{safe(gate.expression)}: {safe(why)}", sys.stderr)


def _width(stream: Any) -> int:
    import shutil

    return shutil.get_terminal_size((80, 24)).columns if stream.isatty() or "COLUMNS" in os.environ else 80


def _colored(wanted: bool | None, stream: Any) -> bool:
    if wanted is not None:
        return wanted
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _show_error(error: CeError, *, as_json: bool) -> None:
    from ce_cli.render.errors import errors_json, render_error

    if as_json:
        _print(errors_json(error), sys.stdout)
    _print(render_error(error), sys.stderr)


def _print(text: str, stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    stream.write(text + "\n")
    stream.flush()


def _guarded(show: Callable[[], None], code: ExitCode) -> int:
    """Show something and return the code, also where nobody reads it any more."""
    try:
        show()
    except BrokenPipeError:
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        _show_error(fail("unwritable_output", error.strerror or str(error), file="standard output"), as_json=False)
        return int(ExitCode.ERROR)
    return int(code)


def _forget_stdout() -> None:
    """Let the interpreter's last flush go nowhere: the reader of the pipe has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

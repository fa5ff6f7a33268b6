"""The command: its arguments and options, as the help shows them.

Nothing heavy is imported before the options are known to be right, so that `--help` and `--version` are immediate.
"""

from __future__ import annotations

from typing import Any

import click

from ce_cli._version import __version__
from ce_cli.cli.params import Line, Names, Replicates, SectionedCommand, configured, noted, option
from ce_cli.plan import (
    ALIGNMENTS,
    BASES,
    FORMATS,
    INPUTS,
    LEAST_REPLICATES,
    ROW_SUMS,
    SMOOTHINGS,
    TASKS,
    USUAL_REPLICATES,
)

_input, _scoring, _statistics = option("Input"), option("Scoring"), option("Statistics")
_output, _gates, _work = option("Output"), option("Gates"), option("Work")


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
    callback=configured,
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
    f"{USUAL_REPLICATES} where N is left out, {LEAST_REPLICATES} at least.",
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
@_output("--json", is_flag=True, is_eager=True, callback=noted, help="Print the report, or what is wrong, as JSON.")
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
@_work("--debug", is_flag=True, is_eager=True, callback=noted, help="Show the traceback of a defect.")
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
    from ce_cli.cli.evaluating import evaluate_command

    return evaluate_command(values)

"""Make every file of this folder again: real data, real models, out-of-fold predictions, one seed.

Needs scikit-learn, pandas and pyarrow (``pip install -e '.[test]'``) and no network; takes seconds:

    python sample_data/make.py

Every prediction is of a row its model was not fitted on (stratified five-fold cross-validation). The same versions of
Python and of the libraries write the same bytes again on the same kind of processor; others may change the last
digits, and another Python has other docstrings, so other rows in ``topics``. README.md says which versions wrote the
files that are here.
"""

import ast
import math
import platform
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sklearn
from pyarrow import csv
from scipy.special import log_softmax
from scipy.stats import norm
from sklearn.base import ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
SEED = 20240229
FOLDS = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)

# Cancers among women recalled after a screening mammogram (PPV1, 1 682 504 examinations, United States, 2007-2013):
# Lehman et al., Radiology 2017;283(1):49-58, doi:10.1148/radiol.2016161174.
CANCER_AMONG_RECALLED = 0.044

WINES = ["barolo", "grignolino", "barbera"]  # the data set's classes 1, 2, 3 (Forina et al., Vitis 1986;25:189-201)

# Properties of the digits 0 to 9. A handwritten 4 may be open or closed: of its loop nothing is known.
TRAITS = {
    "even": {0, 2, 4, 6, 8},
    "large": {5, 6, 7, 8, 9},
    "prime": {2, 3, 5, 7},
    "loop": {0, 6, 8, 9},
}
UNKNOWN = {"loop": 4}
# Of the progression of diabetes, a score from 25 to 346: bins of one width, the last one wider where few patients are.
DIABETES_EDGES = [25, 75, 125, 175, 225, 275, 350]

# Pure-Python modules that every supported Python has. The score columns keep this order, which is not alphabetical.
TOPICS = {
    "text": "argparse codecs configparser csv difflib gettext html json locale optparse re string textwrap xml",
    "numbers": "_pydecimal bisect calendar colorsys fractions heapq numbers random statistics",
    "files": "_pyio bz2 dbm filecmp fileinput fnmatch genericpath glob gzip lzma ntpath os pathlib posixpath shelve "
    "shutil stat tarfile tempfile zipfile zipimport",
    "network": "email ftplib http imaplib ipaddress mimetypes poplib smtplib socket socketserver ssl urllib wsgiref "
    "xmlrpc",
}
SHORTEST_DOCSTRING = 10  # words: a shorter one seldom says what it is about

# What the trigram model is tested on; it is trained on the docstrings of all other modules.
HELD_OUT_MODULE = "textwrap"
NGRAM_WEIGHTS = (0.2, 0.4, 0.35)  # of single words, pairs and triples
SPELLED_WEIGHT = 0.05  # of words spelled in bytes
TRANSLATION_ROUNDS = 20
UNKNOWN_WORD = 0.05  # share of a translation that may be any word

# German and English of our own making: the first sentences train, the last HELD_OUT_SENTENCES are scored.
HELD_OUT_SENTENCES = 10
SENTENCES = """
das haus ist klein|the house is small
das haus ist alt|the house is old
der hund ist klein|the dog is small
der hund schläft|the dog sleeps
die katze schläft|the cat sleeps
die katze ist alt|the cat is old
ein hund sieht das haus|a dog sees the house
eine katze sieht den hund|a cat sees the dog
der mann sieht die katze|the man sees the cat
der mann liest ein buch|the man reads a book
die frau liest das buch|the woman reads the book
die frau sieht ein haus|the woman sees a house
das buch ist neu|the book is new
das kind liest|the child reads
das kind sieht den mann|the child sees the man
ein kind schläft|a child sleeps
die frau ist klug|the woman is clever
der mann ist alt und klug|the man is old and clever
das kind und der hund schlafen|the child and the dog sleep
die frau und der mann lesen|the woman and the man read
ein mann kauft ein haus|a man buys a house
die frau kauft ein buch|the woman buys a book
das neue haus ist klein|the new house is small
der alte mann schläft|the old man sleeps
eine kluge frau liest ein neues buch|a clever woman reads a new book
der kleine hund sieht die alte katze|the small dog sees the old cat
das kind kauft ein buch und liest|the child buys a book and reads
die katze sieht das kind|the cat sees the child
die frau schläft|the woman sleeps
der hund ist alt|the dog is old
das buch ist alt|the book is old
das kind ist klug|the child is clever
ein mann sieht den hund|a man sees the dog
die frau kauft das haus|the woman buys the house
der mann liest das neue buch|the man reads the new book
eine frau sieht die kleine katze|a woman sees the small cat
das kind und die katze schlafen|the child and the cat sleep
der kluge hund kauft einen garten|the clever dog buys a garden
"""

Floats = npt.NDArray[np.floating]
Codes = npt.NDArray[np.integer]
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def out_of_fold(model: ClassifierMixin, features: object, codes: Codes, method: str = "predict_proba") -> Floats:
    """Scores of every row by a model fitted on the other folds: ``(n, k)``, columns in the order of the codes."""
    scores: Floats = cross_val_predict(model, features, codes, cv=FOLDS, method=method)
    return scores


def by_class(prefix: str, classes: Sequence[object], scores: Floats) -> dict[str, Floats]:
    """One column for each class, its name after the prefix."""
    return {f"{prefix}{name}": scores[:, column] for column, name in enumerate(classes)}


def write_csv(path: str, columns: Mapping[str, object], float_format: str | None = None) -> None:
    """Write a CSV file with a header; without a format a float is written in full."""
    target = HERE / path
    target.parent.mkdir(exist_ok=True)
    pd.DataFrame(columns).to_csv(target, index=False, float_format=float_format, lineterminator="\n")


def write_parquet(path: str, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a Parquet file with the dtypes of the arrays."""
    target = HERE / path
    target.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), target, compression="zstd")


def make_breast_cancer() -> None:
    """Two classes, text labels, the probability of one of them, and weights that undo the clinic's selection."""
    data = load_breast_cancer()
    rows = np.arange(len(data.target))
    names = data.target_names[data.target]
    malignant = names == "malignant"
    weights = np.where(
        malignant,
        CANCER_AMONG_RECALLED / malignant.mean(),
        (1 - CANCER_AMONG_RECALLED) / (1 - malignant.mean()),
    )
    write_csv("breast_cancer/labels.csv", {"id": rows, "label": names, "weight": weights}, "%.6g")

    models = {
        "predictions": make_pipeline(StandardScaler(), LogisticRegression()),
        "gradient_boosting": GradientBoostingClassifier(random_state=SEED),
    }
    for name, model in models.items():
        scores = out_of_fold(model, data.data, malignant.astype(int))
        # In full: the loss of a benign row is that of 1 - p, where a rounded p near 1 would show.
        write_csv(f"breast_cancer/{name}.csv", {"id": rows, "prob_malignant": scores[:, 1]})


def make_digits() -> None:
    """Ten classes: logits in Parquet, and votes of five neighbours, at times without one for the truth."""
    data = load_digits()
    rows = np.arange(len(data.target))
    write_parquet("digits/labels.parquet", {"id": rows, "label": data.target})

    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    logits = out_of_fold(linear, data.data, data.target, "decision_function").astype(np.float32)
    write_parquet("digits/logistic.parquet", {"id": rows, **by_class("logit_", data.target_names, logits)})

    shares = out_of_fold(KNeighborsClassifier(n_neighbors=5), data.data, data.target)
    write_csv("digits/neighbours.csv", {"id": rows, **by_class("prob_", data.target_names, shares)}, "%.9g")


def make_traits() -> None:
    """Four labels that a row may have or not, some cells unknown: logistic models, and votes of five neighbours."""
    data = load_digits()
    rows = np.arange(len(data.target))
    held = {name: np.isin(data.target, list(digits)).astype(int) for name, digits in TRAITS.items()}
    known = {name: data.target != UNKNOWN.get(name, -1) for name in TRAITS}
    cells = {f"label_{name}": pd.array(np.where(known[name], held[name], -1), "Int64") for name in TRAITS}
    frame = pd.DataFrame({"id": rows, **cells})
    write_csv("traits/labels.csv", frame.replace(-1, pd.NA))  # type: ignore[arg-type]

    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)),
        "neighbours": KNeighborsClassifier(n_neighbors=5),
    }
    for name, model in models.items():
        scores = {
            f"prob_{trait}": trait_probabilities(model, data.data, data.target, held[trait], known[trait])
            for trait in TRAITS
        }
        write_csv(f"traits/{name}.csv", {"id": rows, **scores}, "%.9g")


def trait_probabilities(
    model: ClassifierMixin, features: Floats, digits: Codes, held: Codes, known: npt.NDArray[np.bool_]
) -> Floats:
    """Probability of a trait for every row, by a model fitted on the known rows of the other folds."""
    probabilities = np.empty(len(digits))
    for others, fold in FOLDS.split(features, digits):
        training = others[known[others]]
        probabilities[fold] = clone(model).fit(features[training], held[training]).predict_proba(features[fold])[:, 1]
    return probabilities


def make_wine() -> None:
    """Three classes with the label beside the probabilities: one file is all there is."""
    data = load_wine()
    models = {"logistic": make_pipeline(StandardScaler(), LogisticRegression()), "naive_bayes": GaussianNB()}
    for name, model in models.items():
        scores = out_of_fold(model, data.data, data.target)
        columns: dict[str, object] = {"id": np.arange(len(data.target)), "label": np.array(WINES)[data.target]}
        write_csv(f"wine/{name}.csv", {**columns, **by_class("prob_", WINES, scores)})


def make_soft_digits() -> None:
    """Soft labels: how 200 trees vote on a digit, and what a small model makes of an image with a quarter of the pixels."""
    data = load_digits()
    rows = np.arange(len(data.target))
    forest = RandomForestClassifier(n_estimators=200, min_samples_leaf=1, random_state=SEED)
    votes = np.rint(out_of_fold(forest, data.data, data.target) * 200) / 200
    write_csv("soft_digits/labels.csv", {"id": rows, **by_class("label_", data.target_names, votes)}, "%.3f")

    halves = data.images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
    student = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = out_of_fold(student, halves, data.target)
    write_csv("soft_digits/predictions.csv", {"id": rows, **by_class("prob_", data.target_names, scores)}, "%.6g")


def make_diabetes() -> None:
    """Targets that are numbers: the probabilities of bins, a mean with its standard deviation, and a bare prediction."""
    data = load_diabetes()
    rows, codes = np.arange(len(data.target)), np.digitize(data.target, DIABETES_EDGES[1:-1])
    write_csv("diabetes/labels.csv", {"id": rows, "target": data.target.astype(int)})

    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    names = [f"[{low},{high})" for low, high in pairwise(DIABETES_EDGES)]
    probs = out_of_fold(classifier, data.data, codes)
    write_csv("diabetes/bins.csv", {"id": rows, **by_class("prob_", names, probs)}, "%.9g")

    mean, std, point = np.zeros((3, len(rows)))
    for fitted, held_out in FOLDS.split(data.data, codes):
        ridge = BayesianRidge().fit(data.data[fitted], data.target[fitted])
        mean[held_out], std[held_out] = ridge.predict(data.data[held_out], return_std=True)
        trees = GradientBoostingRegressor(max_depth=2, n_estimators=60, random_state=SEED)
        point[held_out] = trees.fit(data.data[fitted], data.target[fitted]).predict(data.data[held_out])
    write_csv("diabetes/bayesian_ridge.csv", {"id": rows, "mean": mean, "std": std}, "%.9g")
    write_parquet("diabetes/boosting.parquet", {"id": rows, "prediction": point})


def make_topics() -> None:
    """Four classes of text; the predictions come fold by fold, the labels in the order of the sources."""
    documents = read_docstrings()
    codes = np.array([list(TOPICS).index(topic) for topic in documents["label"]])
    modules = documents["id"].str.partition(".")[0]
    write_csv("topics/labels.csv", {"id": documents["id"], "module": modules, "label": documents["label"]})

    order = np.concatenate([held_out for _, held_out in FOLDS.split(codes, codes)])
    models = {"logistic": LogisticRegression(C=10, max_iter=1000), "naive_bayes": MultinomialNB(alpha=0.1)}
    for name, model in models.items():
        pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True, stop_words="english"), model)
        scores = out_of_fold(pipeline, documents["text"], codes)
        columns = {"id": documents["id"].to_numpy()[order], **by_class("prob_", list(TOPICS), scores[order])}
        write_csv(f"topics/{name}.csv", columns, "%.9g")


def read_docstrings() -> pd.DataFrame:
    """Distinct docstrings of the standard library: ``id`` (dotted name), ``label`` (topic) and ``text``."""
    found = [
        (identifier, topic, text)
        for topic, modules in TOPICS.items()
        for module in modules.split()
        for identifier, text in docstrings_of(module)
        if len(text.split()) >= SHORTEST_DOCSTRING
    ]
    documents = pd.DataFrame(found, columns=["id", "label", "text"])
    # A property and its setter share a name; twins such as ntpath and posixpath share whole docstrings, which would
    # put the same text into the training and the held-out fold.
    return documents.drop_duplicates("id").drop_duplicates("text").reset_index(drop=True)


def docstrings_of(module: str) -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the docstring of all that a module or package of the standard library defines."""
    library = Path(sysconfig.get_path("stdlib"))
    package = library / module
    for source in sorted(package.rglob("*.py")) if package.is_dir() else [package.with_suffix(".py")]:
        parts = source.relative_to(library).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield from docstrings_within(ast.parse(source.read_text(encoding="utf-8")), name)


def docstrings_within(node: Documented, name: str) -> Iterator[tuple[str, str]]:
    """Yield the docstring of a module, class or function, then those of the classes and functions inside it."""
    text = ast.get_docstring(node)
    if text:
        yield name, " ".join(text.split())
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from docstrings_within(child, f"{name}.{child.name}")


class NGrams(NamedTuple):
    """How often runs of one, two and three words occur, and how often each run of none, one and two was followed by any."""

    words: tuple[Counter[tuple[str, ...]], ...]
    histories: tuple[Counter[tuple[str, ...]], ...]


def make_language() -> None:
    """Words of docstrings by an interpolated trigram model: a row for each, with its bytes."""
    documents = read_docstrings()
    held_out = documents["id"].str.split(".").str[0] == HELD_OUT_MODULE
    counts = ngram_counts(pieces(text) for text in documents["text"][~held_out])
    rows: dict[str, list[Any]] = {"sequence_id": [], "token": [], "logprob": [], "bytes": []}
    for name, text in documents[["id", "text"]][held_out].itertuples(index=False):
        history = ("", "")
        for word in [*pieces(text), ""]:  # the empty word ends a docstring
            rows["sequence_id"].append(name)
            rows["token"].append(word.replace(" ", "▁") or "</s>")
            rows["logprob"].append(math.log(trigram_probability(counts, history, word)))
            rows["bytes"].append(len(word.encode()))
            history = (history[1], word)
    write_csv("language/trigram.csv", rows, "%.9g")


def pieces(text: str) -> list[str]:
    """Words, numbers and marks, each with the blank before it: together they are the text."""
    return re.findall(r" ?(?:[^\W_]+|\S)", text)


def ngram_counts(texts: Iterable[Sequence[str]]) -> NGrams:
    """Count the words of all texts, each begun by two empty words and ended by one."""
    counts = NGrams((Counter(), Counter(), Counter()), (Counter(), Counter(), Counter()))
    for words in texts:
        padded = ["", "", *words, ""]
        for at in range(2, len(padded)):
            for length in range(3):
                counts.words[length][tuple(padded[at - length : at + 1])] += 1
                counts.histories[length][tuple(padded[at - length : at])] += 1
    return counts


def trigram_probability(counts: NGrams, history: tuple[str, ...], word: str) -> float:
    """Jelinek and Mercer's interpolation with fixed weights; spelling gives every word of bytes some probability.

    The weight of a history that never occurred goes to the shorter ones.
    """
    estimates, weights = [1 / 257 ** (len(word.encode()) + 1)], [SPELLED_WEIGHT]
    for length, weight in enumerate(NGRAM_WEIGHTS):
        before = history[len(history) - length :]
        if counts.histories[length][before]:
            estimates.append(counts.words[length][*before, word] / counts.histories[length][before])
            weights.append(weight)
    return float(np.dot(estimates, weights) / sum(weights))


def make_translation() -> None:
    """English words given the German sentence by IBM Model 1: a list of log-probabilities for each sentence."""
    pairs = [tuple(side.split() for side in line.split("|")) for line in SENTENCES.strip().splitlines()]
    train, test = pairs[:-HELD_OUT_SENTENCES], pairs[-HELD_OUT_SENTENCES:]
    table = translation_table(train)
    vocabulary = {word for _, target in train for word in target}
    rows: dict[str, list[Any]] = {"logprobs": [], "text": []}
    for source, target in test:
        known = [np.mean([table.get((word, given), 0.0) for given in ("", *source)]) for word in target]
        mixed = [(1 - UNKNOWN_WORD) * share + UNKNOWN_WORD / (len(vocabulary) + 1) for share in known]
        rows["logprobs"].append(" ".join(f"{math.log(share):.6f}" for share in mixed))
        rows["text"].append(" ".join(target))
    write_csv("translation/model1.csv", rows)


def translation_table(pairs: Sequence[Sequence[Sequence[str]]]) -> dict[tuple[str, str], float]:
    """Estimate the probability of a target word given a source word or none: Brown et al. 1993, by expectation maximisation."""
    table: dict[tuple[str, str], float] = {}
    for source, target in pairs:
        table.update({(word, given): 1.0 for word in target for given in ("", *source)})
    for _ in range(TRANSLATION_ROUNDS):
        expected: Counter[tuple[str, str]] = Counter()
        totals: Counter[str] = Counter()
        for source, target in pairs:
            for word in target:
                whole = sum(table[word, given] for given in ("", *source))
                for given in ("", *source):
                    share = table[word, given] / whole
                    expected[word, given] += share  # type: ignore[assignment]
                    totals[given] += share  # type: ignore[assignment]
        table = {pair: count / totals[pair[1]] for pair, count in expected.items()}
    return table


def read(path: Path) -> pd.DataFrame:
    """Read a file as it was written: every float exactly."""
    table = pq.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    return table.to_pandas()


def bin_losses(rows: pd.DataFrame) -> Floats:
    """Loss of each target's bin in nats; of a mean or a bare number with the outer bins open, as README.md has it."""
    edges = np.array(DIABETES_EDGES, dtype=float)
    of_target = np.digitize(rows["target"], edges[1:-1])
    columns = [name for name in rows.columns if name.startswith("prob_")]
    if columns:
        return -np.log(rows[columns].to_numpy()[np.arange(len(rows)), of_target])
    edges[[0, -1]] = -np.inf, np.inf
    mean = rows["mean" if "mean" in rows else "prediction"].to_numpy()
    std = rows["std"].to_numpy() if "std" in rows else np.std(rows["target"] - mean, ddof=1)
    ends = [norm.cdf((edges[of_target + side] - mean) / std) for side in (0, 1)]
    return -np.log(ends[1] - ends[0])


def class_losses(rows: pd.DataFrame) -> Floats:
    """Loss of each row in nats: ``(n,) float64``, infinite where the true class has probability 0; never clipped."""
    if "label_0" in rows:
        shares, probs = (rows.filter(regex=f"^{prefix}").to_numpy() for prefix in ("label_", "prob_"))
        with np.errstate(divide="ignore", invalid="ignore"):
            return -np.where(shares > 0, shares * np.log(probs), 0.0).sum(axis=1)
    columns = [name for name in rows.columns if name.startswith(("prob_", "logit_"))]
    scores = rows[columns].to_numpy(np.float64)
    classes = [name.split("_", 1)[1] for name in columns]
    labels = rows["label"].astype(str)
    with np.errstate(divide="ignore"):
        if len(classes) == 1:
            logs = np.column_stack([np.log1p(-scores), np.log(scores)])
            of_label = (labels == classes[0]).to_numpy(np.int64)
        else:
            logs = log_softmax(scores, axis=1) if columns[0].startswith("logit_") else np.log(scores)
            of_label = np.array([classes.index(label) for label in labels])
    return -logs[np.arange(len(rows)), of_label]


def cell_losses(rows: pd.DataFrame) -> Floats:
    """Loss of each known cell in nats, where a row has several labels: ``(cells,) float64``."""
    names = [name.removeprefix("prob_") for name in rows.columns if name.startswith("prob_")]
    scores = rows[[f"prob_{name}" for name in names]].to_numpy(np.float64)
    labels = rows[[f"label_{name}" for name in names]].to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        cells = -np.where(labels == 1, np.log(scores), np.log1p(-scores))
    return cells[~np.isnan(labels)]


def losses(rows: pd.DataFrame) -> Floats:
    """Loss of each row in nats by the kind of its label: a number, a class or its shares, or several labels."""
    if "target" in rows:
        return bin_losses(rows)
    return class_losses(rows) if {"label", "label_0"} & {*rows.columns} else cell_losses(rows)


def print_losses() -> None:
    """Read every pair back and print its mean loss, to compare with what ce-eval says."""
    print(f"{'predictions':<36}{'labels':<26}{'rows':>5}{'infinite':>9}  mean loss in nats")
    for path in sorted(HERE.glob("*/*.csv")) + sorted(HERE.glob("*/*.parquet")):
        if path.stem == "labels" or path.parent.name in ("language", "translation"):
            continue
        rows = read(path)
        labels = next(path.parent.glob("labels.*"), None)
        if labels:
            rows = rows.merge(read(labels), on="id", validate="one_to_one")
        loss = losses(rows)
        print_mean(f"{path.parent.name}/{path.name}", labels.name if labels else "in the same file", loss)
        if "weight" in rows:
            print_mean("", "  --weight-col weight", loss, rows["weight"].to_numpy())


def print_token_losses() -> None:
    """Read the log-probabilities of tokens back and print their mean losses."""
    words = read(HERE / "language" / "trigram.csv")
    print_mean("language/trigram.csv", "of no labels", -words["logprob"].to_numpy())
    sentences = read(HERE / "translation" / "model1.csv")
    tokens = [float(token) for cell in sentences["logprobs"] for token in cell.split()]
    print_mean("translation/model1.csv", "of no labels", -np.array(tokens))


def print_mean(predictions: str, labels: str, loss: Floats, weights: Floats | None = None) -> None:
    """Print one line of the table, the mean in full."""
    mean = float(np.average(loss, weights=weights))
    print(f"{predictions:<36}{labels:<26}{len(loss):>5}{np.isinf(loss).sum():>9}  {mean!r}")


def main() -> None:
    """Write every file, then print what they score."""
    with threadpool_limits(1):  # the order in which threads add would change the last digits
        make_breast_cancer()
        make_digits()
        make_soft_digits()
        make_wine()
        make_diabetes()
        make_topics()
        make_traits()
        make_language()
        make_translation()
    print(f"Python {platform.python_version()}, scikit-learn {sklearn.__version__}, numpy {np.__version__}")
    print_losses()
    print_token_losses()


if __name__ == "__main__":
    main()

"""What Python callers may give an option, and what they are told where it is something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ce_cli import CeError, compare, evaluate
from ce_cli.keywords import described, options_from
from ce_cli.plan import Options

CELLS = np.array(["a", "b"] * 4)
FRAME = pd.DataFrame({"prob": [0.2, 0.8] * 4, "label": [0, 1] * 4, "g": CELLS})

# One value for each kind of type: which of these an option takes follows from the type of its field.
VALUES: dict[str, Any] = {
    "text": "auto",
    "whole number": 3,
    "number": 0.25,
    "truth": True,
    "list": ["a", "b"],
    "mapping": {"a": 1.0},
    "array": np.array([0.5, 0.25]),
    "series": pd.Series(CELLS),
    "frame": FRAME,
    "function": len,
    "bytes": b"x",
}


@pytest.mark.parametrize("name", Options.__dataclass_fields__)
@pytest.mark.parametrize("kind", VALUES)
def test_no_value_of_any_option_is_a_raw_error(name: str, kind: str) -> None:
    told = told_of(name, VALUES[kind])
    assert told is None or name in told.replace("-", "_")
    assert len(told or "") < 300


def told_of(name: str, value: Any) -> str | None:
    """Return what is said of a value, None where it is taken; anything but a CeError is a failure."""
    try:
        options_from({name: value})
    except CeError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", ["by", "cluster", "show", "id_col", "label_col", "weight_col", "model_col"])
@pytest.mark.parametrize("value", [CELLS, pd.Series(CELLS)], ids=["array", "series"])
def test_cells_where_the_name_of_a_column_is_wanted(name: str, value: Any) -> None:
    with pytest.raises(CeError, match=rf"{name} takes .*column.* shape \(8,\)") as caught:
        evaluate(FRAME, **{name: value})
    assert caught.value.problems[0].hint == f"make it a column of the predictions, and pass its name: {name}='NAME'"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bootstrap": True}, "bootstrap takes a whole number, but got True"),
        ({"bootstrap": "1000"}, "bootstrap takes a whole number, but got '1000'"),
        ({"bootstrap": 50}, "from 100 to 1,000,000, but got 50"),
        ({"confidence": "0.9"}, "confidence takes a number, but got '0.9'"),
        ({"seed": None}, "seed takes a whole number, but got None"),
        ({"calibration": "yes"}, "calibration takes True or False, but got 'yes'"),
        ({"class_weights": [1, 2]}, "class_weights takes text, or a mapping of classes to numbers, but got [1, 2]"),
        ({"class_weights": {"a": "heavy"}}, "class_weights takes text, or a mapping of classes to numbers"),
        ({"bins": 10}, "bins takes text, or the edges as a list of numbers, but got 10"),
        ({"eps": [1e-9]}, "eps takes a number or auto, but got [1e-09]"),
        ({"join_memory": 1.5}, "join_memory takes a number of bytes, or a size such as '500M', but got 1.5"),
        ({"task": ["binary"]}, "task takes text, but got ['binary']"),
        ({"models": FRAME}, "models takes the names of columns, but got a DataFrame of shape (8, 3)"),
        ({"lable_col": "y"}, "there is no option 'lable_col'"),
        ({"gates": 5}, "gates takes text, or a list of texts, but got 5"),
        ({"gates": [5]}, "gates takes text, or a list of texts, but got [5]"),
        ({"per_sample": 3}, "per_sample takes the path of a file, but got 3"),
        (
            {"baseline": 5},
            "baseline takes an earlier report: a Report, its to_dict(), or the path of its JSON, but got 5",
        ),
    ],
)
def test_what_is_told_of_a_wrong_type(given: dict[str, Any], says: str) -> None:
    with pytest.raises(CeError) as caught:
        evaluate(FRAME, **given)
    assert caught.value.code == "bad_option"
    assert says in str(caught.value)


def test_every_wrong_option_is_told_at_once() -> None:
    with pytest.raises(CeError) as caught:
        evaluate(FRAME, lable_col="y", bootstrap=True, top=2.5)
    assert [problem.message.split()[0] for problem in caught.value.problems] == ["there", "bootstrap", "top"]
    assert str(caught.value.problems[0].hint).startswith("did you mean label_col")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"bootstrap": np.int64(200)}, {"bootstrap": 200}),
        ({"bootstrap": 1e3}, {"bootstrap": 1000}),
        ({"base": 2}, {"base": "2"}),
        ({"base": 2.0}, {"base": "2"}),
        ({"calibration": np.True_}, {"calibration": True}),
        ({"confidence": np.float32(0.5)}, {"confidence": 0.5}),
        ({"classes": np.array([0, 1])}, {"classes": ("0", "1")}),
        ({"pred_cols": np.array([0, 1])}, {"pred_cols": ("0", "1")}),
        ({"cluster": np.int64(3)}, {"cluster": "3"}),
        ({"pred_cols": FRAME.columns[:1]}, {"pred_cols": ("prob",)}),
        ({"by": FRAME.columns[2:]}, {"by": ("g",)}),
        ({"by": "g"}, {"by": ("g",)}),
        ({"by": None, "classes": None}, {}),
        ({"positive": 1}, {"positive": "1"}),
        ({"label_col": 1}, {"label_col": "1"}),
        ({"class_weights": {0: 1}}, {"class_weights": {"0": 1.0}}),
        ({"bins": [0, 1, 2]}, {"bins": "0.0,1.0,2.0"}),
        ({"sigma": 2}, {"sigma": 2.0}),
        ({"eps": "auto"}, {"eps": "auto"}),
    ],
)
def test_what_is_taken(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert options_from(given) == Options(**expected)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "but got NoneType"),
        (3, "but got int"),
        ({"prob": [0.5]}, "but got dict"),
        ((x for x in [0.5]), "but got generator"),
        ([[0.1, 0.9], [1.0]], "the same number of scores in each row"),
        (np.array([1j]), "these are no scores"),
        (np.array([object()]), "these are no scores"),
        (np.zeros((2, 2, 2)), "of shape (2, 2, 2)"),
    ],
)
def test_predictions_that_are_none(data: Any, says: str) -> None:
    with pytest.raises(CeError) as caught:
        evaluate(data, [1])
    assert caught.value.code == "bad_option"
    assert says in str(caught.value)


def test_models_that_are_none() -> None:
    with pytest.raises(CeError, match="the mapping is empty"):
        compare({})
    with pytest.raises(CeError, match="no predictions for 'b': got None"):
        compare({"a": FRAME, "b": None})


def test_what_a_value_is_called() -> None:
    assert described(np.zeros((2, 3))) == "a ndarray of shape (2, 3)"
    assert described("x" * 100) == "a str"
    assert described(object()) == "an object"
    assert described(0.5) == "0.5"

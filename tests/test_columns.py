"""Which column is what, by the rules that the documentation of files and columns states."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ce_cli.columns import SampleColumn, TableInfo
from ce_cli.deciding.layout import decide
from ce_cli.errors import CeError
from ce_cli.plan import Options


def column(cells) -> SampleColumn:
    if cells == "list":
        return SampleColumn("list", (), size=3)
    as_text = tuple(None if cell is None else str(cell) for cell in cells)
    if all(cell is None or not isinstance(cell, str) for cell in cells):
        return SampleColumn("number", as_text, tuple(float(cell) for cell in cells if cell is not None))
    return SampleColumn("text", as_text)


def named(path, columns, *, headerless=False) -> TableInfo:
    return TableInfo(path, {name: column(cells) for name, cells in columns.items()}, headerless)


PROB = (0.25, 0.5)
LOGIT = (-3.5, 2.0)
TRUTH = (0, 1)
WORDS = ("cat", "dog")
IDS = (7, 9)


def one(columns, **options):
    return decide(named("p", columns), None, Options(**options))


def two(mine, other, **options):
    return decide(named("p", mine), named("y", other), Options(**options))


def code_of(call) -> tuple[str, str]:
    with pytest.raises(CeError) as caught:
        call()
    problem = caught.value.problems[0]
    return problem.code, f"{problem.message} {problem.hint}"


# One score column -----------------------------------------------------------------------------------------------------

RECOGNISED = [
    "prob",
    "y_prob",
    "proba",
    "probability",
    "logit",
    "logprob",
    "p",
    "score",
    "prediction",
    "pred",
    "y_pred",
]
SCALES = {
    "logit": "logits",
    "logprob": "logprobs",
    "prob": "probs",
    "y_prob": "probs",
    "proba": "probs",
    "probability": "probs",
}


@pytest.mark.parametrize("name", RECOGNISED)
@pytest.mark.parametrize("spell", [str, str.upper, str.title])
def test_a_recognised_score(name, spell):
    layout = one({spell(name): PROB, "age": (3.0, 80.0), "label": TRUTH})
    assert layout.scores.columns == (spell(name),)
    assert layout.scores.names == ()
    assert layout.scores.scale == SCALES.get(name)
    assert (layout.label, layout.label_side, layout.alignment) == ("label", "predictions", "file")


@pytest.mark.parametrize(("first", "second"), list(pairwise(RECOGNISED)))
def test_scores_are_recognised_in_order(first, second):
    assert one({second: PROB, first: PROB, "label": TRUTH}).scores.columns == (first,)
    assert one({first: PROB, second: PROB, "label": TRUTH}).scores.columns == (first,)


@pytest.mark.parametrize("hard", [TRUTH, WORDS])
@pytest.mark.parametrize("name", ["prediction", "pred", "y_pred"])
def test_a_hard_prediction_beside_a_probability_is_no_score(name, hard):
    assert one({name: hard, "p": PROB, "label": TRUTH}).scores.columns == ("p",)
    assert one({name: hard, "prob_cat": PROB, "label": TRUTH}).scores.columns == ("prob_cat",)


@pytest.mark.parametrize("hard", [TRUTH, WORDS])
@pytest.mark.parametrize("name", ["prediction", "pred", "y_pred"])
def test_beside_a_hard_prediction_a_single_number_is_the_score(name, hard):
    assert one({name: hard, "model": PROB, "label": TRUTH}).scores.columns == ("model",)


def test_a_text_prediction_leaves_the_single_number():
    assert one({"prediction": WORDS, "confidence": PROB, "label": WORDS}).scores.columns == ("confidence",)


def test_a_single_number_is_the_score():
    layout = one({"model": PROB, "comment": WORDS, "label": TRUTH})
    assert layout.scores.columns == ("model",)
    assert layout.scores.names == ()


def test_the_scale_chooses_among_recognised_names():
    columns = {"prob": PROB, "logit": LOGIT, "label": TRUTH}
    assert one(columns).scores.columns == ("prob",)
    assert one(columns, input="logits").scores.columns == ("logit",)
    assert one(columns, input="percent").scores.columns == ("prob",)


# Class columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "scale"),
    [("prob_", "probs"), ("p_", "probs"), ("proba_", "probs"), ("logit_", "logits"), ("logprob_", "logprobs")],
)
def test_a_prefix_is_taken_off(prefix, scale):
    scores = one({f"{prefix}cat": PROB, f"{prefix.upper()}dog": PROB, "age": (30, 40), "label": WORDS}).scores
    assert scores.columns == (f"{prefix}cat", f"{prefix.upper()}dog")
    assert scores.names == ("cat", "dog")
    assert scores.scale == scale


def test_only_one_prefix_is_taken_off():
    assert one({"prob_p_1": PROB, "prob_2": PROB, "label": (1, 2)}).scores.names == ("p_1", "2")


def test_no_other_prefix_is_taken_off():
    scores = one({"class_cat": (0.25, 0.5), "class_dog": (0.75, 0.5), "label": ("class_cat", "class_dog")}).scores
    assert scores.names == ("class_cat", "class_dog")
    assert scores.scale is None


def test_names_keep_their_case():
    assert one({"prob_Cat": PROB, "prob_DOG": PROB, "label": WORDS}).scores.names == ("Cat", "DOG")


def test_an_exact_name_beats_a_prefix():
    scores = one({"prob_a": PROB, "prob_b": PROB, "prob": PROB, "label": TRUTH}).scores
    assert scores.columns == ("prob",)


def test_a_prefix_beats_a_weak_name():
    assert one({"prediction": (0.3, 0.4), "prob_a": PROB, "prob_b": PROB, "label": ("a", "b")}).scores.names == (
        "a",
        "b",
    )


def test_two_prefixes_are_ambiguous_until_the_scale_is_given():
    columns = {"prob_a": PROB, "prob_b": PROB, "logit_a": LOGIT, "logit_b": LOGIT, "label": ("a", "b")}
    code, text = code_of(lambda: one(columns))
    assert code == "ambiguous_columns"
    assert "--pred-cols" in text
    assert one(columns, input="logits").scores.columns == ("logit_a", "logit_b")
    assert one(columns, pred_cols=("prob_*",)).scores.columns == ("prob_a", "prob_b")


def test_a_lone_prefixed_column_names_its_class():
    scores = one({"prob_spam": PROB, "label": ("spam", "ham")}).scores
    assert (scores.columns, scores.names, scores.scale) == (("prob_spam",), ("spam",), "probs")


def test_a_list_column():
    scores = one({"logits": "list", "age": (3.0, 4.0), "label": (0, 2)}).scores
    assert (scores.columns, scores.scale, scores.list_size) == (("logits",), "logits", 3)
    assert code_of(lambda: one({"a": "list", "b": "list", "label": (0, 1)}))[0] == "ambiguous_columns"
    assert one({"a": "list", "b": "list", "label": (0, 1)}, pred_cols=("b",)).scores.columns == ("b",)


def test_bare_class_names_in_one_file():
    assert one({"cat": (0.25, 0.5), "dog": (0.75, 0.5), "label": WORDS}).scores.names == WORDS
    numbered = {"0": (0.25, 0.5), "1": (0.75, 0.5), "label": (0.0, 1.0)}
    assert one(numbered).scores.columns == ("0", "1")
    inside = {"cat": (0.25, 0.5), "dog": (0.75, 0.5), "share": (0.25, 0.5), "label": WORDS}
    assert one(inside).scores.names == WORDS


def test_a_column_that_leaves_the_scale_beside_class_names_is_ambiguous_in_one_file_too():
    for first, second, label in (("cat", "dog", WORDS), ("0", "1", (0.0, 1.0))):
        columns = {first: (0.25, 0.5), second: (0.75, 0.5), "age": (30, 40), "label": label}
        code, text = code_of(lambda columns=columns: one(columns))
        assert code == "ambiguous_columns"
        assert "--pred-cols" in text
        assert all(name in text for name in (first, second, "age"))
        assert one(columns, pred_cols=(first, second)).scores.columns == (first, second)


def test_bare_class_names_in_another_file():
    mine = {"cat": (0.25, 0.5), "dog": (0.5, 0.25), "emu": (0.25, 0.25)}
    assert two(mine, {"label": WORDS}).scores.columns == ("cat", "dog", "emu")


def test_a_column_that_leaves_the_scale_is_ambiguous():
    mine = {"cat": (0.2, 0.5), "emu": (0.5, 0.3), "age": (30, 40)}
    code, text = code_of(lambda: two(mine, {"label": ("cat", "fox")}))
    assert code == "ambiguous_columns"
    assert all(name in text for name in mine)
    assert two(mine, {"label": ("cat", "fox")}, pred_cols=("cat", "emu")).scores.columns == ("cat", "emu")


def test_several_numbers_that_no_label_names_are_ambiguous_in_one_file():
    assert (
        code_of(lambda: one({"model a": (0.3, 0.9), "model b": (0.2, 0.4), "label": TRUTH}))[0] == "ambiguous_columns"
    )


def test_text_among_bare_columns_is_no_score():
    mine = {"cat": (0.25, 0.5), "dog": (0.75, 0.5), "comment": WORDS}
    assert two(mine, {"label": WORDS}).scores.columns == ("cat", "dog")


def test_no_score_at_all():
    code, text = code_of(lambda: one({"comment": WORDS, "label": TRUTH}))
    assert code == "unknown_column"
    assert "comment" in text


# --pred-cols ----------------------------------------------------------------------------------------------------------


def test_chosen_columns():
    columns = {"a": PROB, "b": PROB, "p_x": PROB, "p_y": PROB, "label": TRUTH}
    assert one(columns, pred_cols=("b",)).scores.columns == ("b",)
    assert one(columns, pred_cols=("B", "A")).scores.columns == ("b", "a")
    assert one(columns, pred_cols=("p_*",)).scores.names == ("x", "y")
    assert one(columns, pred_cols=("p_y", "p_*")).scores.columns == ("p_y", "p_x")
    assert one(columns, pred_cols=("a", "p_x")).scores.names == ("a", "p_x")


def test_an_unknown_column_suggests_those_alike():
    code, text = code_of(lambda: one({"probably": PROB, "label": TRUTH}, pred_cols=("probabl",)))
    assert code == "unknown_column"
    assert "probably" in text


def test_names_that_differ_in_case_only_need_their_own_case():
    columns = {"A": PROB, "a": PROB, "label": TRUTH}
    assert one(columns, pred_cols=("a",)).scores.columns == ("a",)
    assert one(columns, pred_cols=("A",)).scores.columns == ("A",)


# Labels ---------------------------------------------------------------------------------------------------------------

LABELS = ["label", "y", "y_true", "target", "class", "truth", "obs"]


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("spell", [str, str.upper])
def test_a_recognised_label(name, spell):
    assert one({"prob": PROB, spell(name): TRUTH, "other": TRUTH}).label == spell(name)


@pytest.mark.parametrize(("first", "second"), list(pairwise(LABELS)))
def test_labels_are_recognised_in_order(first, second):
    assert one({"prob": PROB, second: TRUTH, first: TRUTH}).label == first


def test_a_second_label_name_is_no_score():
    assert one({"cat": (0.25, 0.5), "dog": (0.75, 0.5), "label": WORDS, "y": (0.0, 1.0)}).scores.columns == WORDS


def test_the_only_column_that_is_no_id_or_weight():
    other = {"id": IDS, "animal": WORDS, "weight": PROB, "Unnamed: 0": (0, 1)}
    layout = two({"id": IDS, "prob": PROB}, other)
    assert (layout.label, layout.label_side) == ("animal", "labels")


def test_shared_columns_are_not_the_label():
    layout = two({"name": WORDS, "prob": PROB}, {"name": WORDS, "outcome": TRUTH})
    assert layout.label == "outcome"
    assert layout.ids == ("name",)


def test_several_columns_could_be_the_label():
    code, text = code_of(lambda: two({"prob": PROB}, {"a": TRUTH, "b": TRUTH}))
    assert code == "unknown_column"
    assert "--label-col" in text
    assert two({"prob": PROB}, {"a": TRUTH, "b": TRUTH}, label_col="B").label == "b"


def test_the_chosen_label():
    assert one({"prob": PROB, "label": TRUTH, "y": TRUTH}, label_col="y").label == "y"
    assert code_of(lambda: one({"prob": PROB, "label": TRUTH}, label_col="lable"))[0] == "unknown_column"
    assert code_of(lambda: one({"prob": PROB, "label": TRUTH}, label_col="label,prob"))[0] == "unknown_column"
    assert one({"prob": PROB, "a,b": TRUTH}, label_col="a,b").label == "a,b"


# Weights --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weight", "sample_weight", "Weight"])
def test_weights_are_never_scored_and_weigh_only_when_asked(name):
    layout = one({name: PROB, "model": PROB, "label": TRUTH})
    assert layout.scores.columns == ("model",)
    assert layout.weight is None
    layout = one({name: PROB, "model": PROB, "label": TRUTH}, weight_col="weight" if "sample" not in name else name)
    assert (layout.weight, layout.weight_side) == (name, "predictions")


def test_a_chosen_weight_is_not_scored():
    assert one({"w": PROB, "model": PROB, "label": TRUTH}, weight_col="w").scores.columns == ("model",)


def test_the_labels_weight_comes_first():
    layout = two({"id": IDS, "prob": PROB, "w": PROB}, {"id": IDS, "label": TRUTH, "w": PROB}, weight_col="w")
    assert (layout.weight, layout.weight_side) == ("w", "labels")
    layout = two({"id": IDS, "prob": PROB, "w": PROB}, {"id": IDS, "label": TRUTH}, weight_col="W")
    assert (layout.weight, layout.weight_side) == ("w", "predictions")
    assert code_of(lambda: two({"prob": PROB}, {"label": TRUTH}, weight_col="w"))[0] == "unknown_column"


def test_a_shared_weight_is_no_key():
    layout = two({"prob": PROB, "weight": PROB}, {"label": TRUTH, "weight": PROB})
    assert (layout.ids, layout.alignment) == ((), "position")


# Ids ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "key", "uid", "row_id", "sample_id", "index", "user_id", "ID", "User_Id"])
def test_an_id_of_both_files_joins_them(name):
    layout = two({name: IDS, "prob": PROB}, {name: IDS, "label": TRUTH})
    assert (layout.ids, layout.label_ids, layout.alignment) == ((name,), (name,), "id")
    assert layout.scores.columns == ("prob",)


def test_ids_are_never_scored():
    assert one({"id": PROB, "user_id": PROB, "model": PROB, "label": TRUTH}).scores.columns == ("model",)


def test_ids_may_differ_in_case():
    layout = two({"ID": IDS, "prob": PROB}, {"id": IDS, "label": TRUTH})
    assert (layout.ids, layout.label_ids) == (("ID",), ("id",))


def test_the_first_known_id_is_the_key():
    both = {"user_id": IDS, "key": IDS, "id": IDS}
    assert two({**both, "prob": PROB}, {**both, "label": TRUTH}).ids == ("id",)


def test_several_other_ids_form_the_key():
    both = {"user_id": IDS, "item_id": IDS}
    assert two({**both, "prob": PROB}, {"label": TRUTH, **both}).ids == ("user_id", "item_id")


def test_all_shared_columns_form_the_key():
    layout = two({"country": WORDS, "year": IDS, "prob": PROB}, {"year": IDS, "country": WORDS, "label": TRUTH})
    assert (layout.ids, layout.label_ids) == (("country", "year"), ("country", "year"))
    assert layout.scores.columns == ("prob",)


def test_shared_scores_and_labels_are_no_key():
    layout = two({"prob": PROB, "label": TRUTH}, {"prob": PROB, "label": TRUTH})
    assert (layout.ids, layout.alignment) == ((), "position")


@pytest.mark.parametrize("index", ["Unnamed: 0", "__index_level_0__"])
def test_an_unnamed_index_is_an_id_only_as_a_last_resort(index):
    assert two({index: IDS, "prob": PROB}, {index: IDS, "label": TRUTH}).ids == (index,)
    with_another = two({index: IDS, "name": WORDS, "prob": PROB}, {index: IDS, "name": WORDS, "label": TRUTH})
    assert with_another.ids == ("name",)
    assert one({index: PROB, "model": PROB, "label": TRUTH}).scores.columns == ("model",)


def test_chosen_ids():
    layout = two({"a": IDS, "b": IDS, "prob": PROB}, {"B": IDS, "A": IDS, "label": TRUTH}, id_col=("b", "a"))
    assert (layout.ids, layout.label_ids) == (("b", "a"), ("B", "A"))
    code, _ = code_of(lambda: two({"a": IDS, "prob": PROB}, {"b": IDS, "label": TRUTH}, id_col=("a",)))
    assert code == "unknown_column"


def test_a_chosen_id_is_not_scored():
    assert one({"nr": PROB, "model": PROB, "label": TRUTH}, id_col=("nr",)).scores.columns == ("model",)


def test_position_is_used_only_where_nothing_is_shared():
    assert two({"prob": PROB}, {"label": TRUTH}).alignment == "position"
    layout = two({"id": IDS, "prob": PROB}, {"id": IDS, "label": TRUTH}, align="position")
    assert (layout.alignment, layout.ids) == ("position", ("id",))
    assert code_of(lambda: two({"prob": PROB}, {"label": TRUTH}, align="id"))[0] == "unknown_column"


def test_one_file_is_not_joined():
    layout = one({"id": IDS, "prob": PROB, "label": TRUTH})
    assert (layout.alignment, layout.ids, layout.label_ids) == ("file", ("id",), ())


# Without a header -----------------------------------------------------------------------------------------------------


def test_columns_without_names_are_not_shared():
    layout = decide(
        named("p", {"1": PROB}, headerless=True), named("y", {"1": TRUTH}, headerless=True), Options(header=False)
    )
    assert (layout.scores.columns, layout.label, layout.ids, layout.alignment) == (("1",), "1", (), "position")


def test_columns_without_names_are_classes_from_zero():
    mine = named("p", {"1": (0.25, 0.5), "2": (0.5, 0.25), "3": (0.25, 0.25)}, headerless=True)
    layout = decide(mine, named("y", {"1": (0, 2)}, headerless=True), Options(header=False))
    assert layout.scores.columns == ("1", "2", "3")
    assert layout.scores.names == ("0", "1", "2")


def test_columns_without_names_in_one_file():
    mine = named("p", {"1": (0.25, 0.5), "2": (0.75, 0.5), "3": (0, 1)}, headerless=True)
    layout = decide(mine, None, Options(header=False, label_col="3"))
    assert layout.scores.columns == ("1", "2")
    assert layout.scores.names == ("0", "1")

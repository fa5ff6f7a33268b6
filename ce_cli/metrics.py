"""The names of what a report may hold, each with one line for people."""

from __future__ import annotations

# In the order in which reports list them.
METRICS: dict[str, str] = {
    "cross_entropy": "mean loss of the scored rows",
    "cross_entropy_finite": "mean loss of the rows whose loss is finite",
    "cross_entropy_label_sum": "mean over rows of the sum of the losses of a row's labels",
    "perplexity": "how many tokens, equally likely, would be as hard to predict: exp of the mean loss",
    "bits_per_token": "mean loss of a token in bits",
    "bits_per_byte": "loss of all tokens in bits over the bytes of the text",
    "byte_perplexity": "exp of the loss of all tokens over the bytes of the text",
    "word_perplexity": "exp of the loss of all tokens over the words of the text",
    "sequence_sum_mean": "mean over sequences of the loss of all their tokens",
    "sequence_mean": "mean over sequences of the mean loss of their tokens",
    "cross_entropy_unsmoothed": "mean loss without label smoothing",
    "macro_cross_entropy": "mean of the classes' mean losses, each class counting the same",
    "accuracy": "share of rows whose most probable class is the label",
    "brier": "mean squared distance between probabilities and outcomes",
    "prior_entropy": "loss of always predicting the label frequencies",
    "normalized_entropy": "loss as a multiple of the prior entropy",
    "skill": "share of the prior entropy that the predictions save",
    "label_entropy": "mean entropy of the labels themselves, the lowest loss possible",
    "kl_divergence": "mean divergence of the predictions from the labels: the loss beyond the label entropy",
    "js_divergence": "mean Jensen-Shannon divergence between predictions and labels, which is symmetric",
    "log_score": "mean loss of the target's density: comparable between binnings",
    "rps": "ranked probability score: squared distance of the cumulated probabilities, summed over the bins",
    "crps": "continuous ranked probability score, in the unit of the target",
    "ece": "expected calibration error: mean distance between probability and frequency",
    "ece_l2": "calibration error as a root mean square",
    "ece_l2_debiased": "calibration error as a root mean square, less what chance alone would give",
    "ece_max": "largest calibration error of a bin",
    "mcb": "miscalibration: loss that a monotone correction of the probabilities would save",
    "dsc": "discrimination: loss that telling rows apart saves, after that correction",
    "unc": "uncertainty: loss of always predicting the frequency",
    "temperature": "what log-odds are to be divided by: above 1 where predictions are over-confident",
    "temperature_gain": "held-out loss that the temperature saves",
}

# Those that have the unit of the loss.
IN_UNIT: frozenset[str] = frozenset(
    (
        "cross_entropy",
        "cross_entropy_finite",
        "cross_entropy_label_sum",
        "macro_cross_entropy",
        "prior_entropy",
        "cross_entropy_unsmoothed",
        "label_entropy",
        "kl_divergence",
        "js_divergence",
        "log_score",
        "sequence_sum_mean",
        "sequence_mean",
        "mcb",
        "dsc",
        "unc",
        "temperature_gain",
    )
)

# The quantiles of the loss over the scored rows, as the keys of `Report.quantiles`.
QUANTILES: tuple[str, ...] = ("0.5", "0.9", "0.99", "1")

# The metrics that a bootstrap has an interval of.
BOOTSTRAPPED: tuple[str, ...] = ("cross_entropy", "perplexity", "bits_per_token", "accuracy", "brier")
# The metrics that a slice may have, each with the fields of its interval there.
SLICED: dict[str, tuple[str, ...]] = {
    "cross_entropy": ("value", "lower", "upper", "stderr"),
    "cross_entropy_finite": ("value",),
    "perplexity": ("value", "lower", "upper"),
    "accuracy": ("value",),
    "prior_entropy": ("value",),
    "normalized_entropy": ("value",),
    "skill": ("value",),
}
# The metrics whose losses are paired in a comparison, by what losses are compared by.
PAIRED: dict[str | None, str] = {
    None: "cross_entropy",
    "token": "cross_entropy",
    "byte": "bits_per_byte",
    "sequence": "sequence_sum_mean",
}
# The metrics that only --calibration has.
CALIBRATED: tuple[str, ...] = ("ece_max", "mcb", "dsc", "unc", "temperature", "temperature_gain")
# What is told of the rows with the largest losses.
CONCENTRATION: tuple[str, ...] = (
    "top_1pct_rows",
    "top_1pct_share",
    "cross_entropy_without_top_1pct",
    "infinite_rows",
    "infinite_share",
    "clipped_rows",
    "clipped_share",
    "cross_entropy_without_clipped",
)

"""Which format a text file has, by the first of its contents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ce_cli.errors import fail

JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
_BLANK = b"\xef\xbb\xbf \t\r\n"
# What tells a response or a sample where the first line is longer than what is looked at; they stand in this order there.
_OPENAI_KEYS = re.compile(rb'"choices"\s*:\s*\[\s*\{|"response"\s*:\s*\{\s*"status_code"')
_KENLM_SIGN = b" OOV"
_FAIRSEQ_SIGN = re.compile(rb"(?m)^[HPDST]-\d+\t")
_LM_EVAL_KEYS = re.compile(rb'\A[\s\xef\xbb\xbf]*\{\s*"doc_id"\s*:')


def text_format(path: str, head: bytes) -> str:
    """Return the format of a text: csv, tsv, or one that its contents tell. Raises CeError where it is a JSON array."""
    suffixes = {suffix.lower() for suffix in Path(path).suffixes}
    start = head.lstrip(_BLANK)
    if start.startswith(b"{"):
        return json_format(head)
    if suffixes & JSON_SUFFIXES:
        if start.startswith(b"["):
            raise fail(
                "unreadable_file",
                "this is one JSON array, not one JSON object per line",
                file=path,
                hint="convert it with: jq -c '.[]' FILE",
            )
        return "jsonl-table"
    return _other_tool(head) or ("tsv" if suffixes & {".tsv", ".tab"} else "csv")


def _other_tool(head: bytes) -> str | None:
    """Return the format of another tool, kenlm or fairseq, whose readers are imported only where a sign of it is there."""
    if _KENLM_SIGN in head:
        from ce_cli.readers.kenlm_output import looks_like_kenlm

        if looks_like_kenlm(head):
            return "kenlm"
    if _FAIRSEQ_SIGN.search(head):
        from ce_cli.readers.fairseq_output import looks_like_fairseq

        if looks_like_fairseq(head):
            return "fairseq"
    return None


def json_format(head: bytes) -> str:
    """Return which of the formats of one JSON object per line this is: openai, lm-eval or jsonl-table."""
    first, newline, _ = head.lstrip(_BLANK).partition(b"\n")
    try:
        found: Any = json.loads(first)
    except (ValueError, RecursionError):
        if newline:
            return "jsonl-table"
        if _LM_EVAL_KEYS.search(head):
            return "lm-eval"
        return "openai" if _OPENAI_KEYS.search(head) else "jsonl-table"
    if not isinstance(found, dict):
        return "jsonl-table"
    if _are_choices(found.get("choices")) or found.keys() >= {"custom_id", "response"}:
        return "openai"
    return "lm-eval" if found.keys() >= {"doc_id", "arguments", "resps"} else "jsonl-table"


def _are_choices(found: Any) -> bool:
    """Tell whether this is what a response has as its choices, which a table may well have as something else."""
    known = {"message", "text", "delta", "logprobs"}
    return isinstance(found, list) and all(isinstance(choice, dict) and known & choice.keys() for choice in found)

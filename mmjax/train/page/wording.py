"""How figures are named and written for people."""

from collections.abc import Mapping
from typing import Any

_TITLES = {
    "auroc": "AUROC",
    "bleu": "BLEU",
    "cider": "CIDEr",
    "rouge_l": "ROUGE-L",
    "token_f1": "F1 of words",
    "vqa_accuracy": "VQA accuracy",
    "calibration_error": "calibration error (ECE)",
    "f1": "F1",
    "error": "squared error",
    "constant": "squared error of the best single number",
    "majority": "always the majority answer",
    "r2": "R²",
    "subset_accuracy": "all labels right",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
}
_SHARES = (
    "accuracy",
    "balanced_accuracy",
    "subset_accuracy",
    "precision",
    "recall",
    "f1",
    "majority",
    "calibration_error",
    *(f"{way}recall_at_{n}" for way in ("", "back_") for n in (1, 5, 10)),
    "preferred",
    "exact_match",
    "token_f1",
    "vqa_accuracy",
    "word_error_rate",
    "character_error_rate",
)
ABSENT = "\N{EN DASH}"
_AVERAGES = ("macro", "micro", "weighted")


def title(name: str) -> str:
    """``f1_macro`` as ``F1, macro``."""
    stem, _, average = name.rpartition("_")
    if average in _AVERAGES:
        return f"{title(stem)}, {average}"
    return _TITLES.get(name, name.replace("_", " "))


def is_share(name: str) -> bool:
    """Whether a figure is a share of the rows, and so is written in per cent."""
    stem, _, average = name.rpartition("_")
    return name in _SHARES or (average in _AVERAGES and stem in _SHARES)


def number(name: str, value: float | None) -> str:
    """A figure's value."""
    if value is None:
        return ABSENT
    return f"{100 * value:.1f} %" if is_share(name) else f"{value:.4g}"


def interval(name: str, figure: Mapping[str, Any]) -> str:
    """A figure's interval; empty where it has none."""
    if figure.get("low") is None or figure.get("high") is None:
        return ""
    if is_share(name):
        return f"{100 * figure['low']:.1f} to {100 * figure['high']:.1f} %"
    return f"{figure['low']:.4g} to {figure['high']:.4g}"


def goodput(found: Mapping[str, Any]) -> str:
    """Where the time went, as ``93.1 % in steps, 4.0 % init ... · 41.2 % MFU``; see ``ledger.Ledger.facts``."""
    whole = sum(found["seconds"].values()) or 1.0
    shares = {name: spent / whole for name, spent in found["seconds"].items() if spent >= 0.0005 * whole}
    text = f"time: {shares.pop('step', 0.0):.1%} in steps" + "".join(f", {v:.1%} {name}" for name, v in shares.items())
    text = text.replace("%", " %")
    if found.get("flops_per_second"):
        text += f" · {found['flops_per_second'] / 1e12:.3g} TFLOP/s"
    return text + (f" · {100 * found['mfu']:.1f} % MFU" if found.get("mfu") else "")


def duration(seconds: float) -> str:
    """Seconds as ``1 h 02 min``, ``3 min 07 s`` or ``8.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"

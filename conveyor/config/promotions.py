"""Promotions of repos.yaml: from an entry to a policy."""

from __future__ import annotations

from collections.abc import Sequence

from conveyor.config.checker import check
from conveyor.config.document import Document
from conveyor.config.mistakes import show
from conveyor.config.schema import PromotionEntry
from conveyor.config.values import Context
from conveyor.model.promotion import TAKEN, PromotionPolicy, follows_builds, is_pointer_name


def read_promotion(
    document: Document, name: str, raw: object, context: Context, targets: Sequence[str]
) -> PromotionPolicy | None:
    """One policy; None where it has mistakes, which are in the document then.

    Args:
        document: the file.
        name: the pointer's name.
        raw: the entry.
        context: what its values are judged by.
        targets: names of the targets that have the pointer where the entry names none.
    """
    loc = ("promotions", name)
    if follows_builds(name):
        document.mistake(loc, f"{name} follows builds, nobody promotes to it; would be right: another name")
    elif not is_pointer_name(name):
        taken = ", ".join(TAKEN)
        what = f"letters, digits, '.', '_' and '-'; two hex digits, {taken} are taken"
        document.mistake(loc, f"{show(name)} is no name of a promotion ({what}); would be right: tested")
    entry = check(document, PromotionEntry, raw, loc, context)
    if entry is None:
        return None
    chosen = tuple(dict.fromkeys(entry.targets or targets))
    if entry.together and len(chosen) <= 1:
        document.mistake((*loc, "together"), "says nothing of one target; would be right: two targets or more")
    return PromotionPolicy(
        name=name,
        targets=chosen,
        together=entry.together,
        votes=tuple(dict.fromkeys(entry.votes)),
        min_age=entry.min_age or 0,
        succeeded_on=tuple(dict.fromkeys(entry.succeeded_on)),
        automatic=entry.automatic,
    )

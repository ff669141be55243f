"""Whether a model learned from the file at hand: then its numbers say nothing of new cases."""

from __future__ import annotations

from models.manifest import Manifest

_ENDINGS = (".gz", ".jsonl", ".zip", ".npz")


def learned_from(manifest: Manifest, file: str) -> tuple[str, ...]:
    """A warning where the file bears the name of one of the model's training sets.

    The manifest names sets, so a renamed copy of one goes unnoticed.
    """
    stem = file
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    names = {s.name.rpartition("/")[2] for s in manifest.training_sets}
    if stem in names | {f"{name}.train" for name in names}:
        return (
            f"The model {manifest.name} {manifest.version} learned from {stem}: these numbers say "
            "nothing of new cases. Its card holds the cross-validated ones.",
        )
    return ()

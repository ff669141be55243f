"""Texts as sparse feature matrices, weighted as the exported network weights them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.text.ngrams import NgramFeaturiser
from training.text.department_data import Example

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


def count_matrix(examples: Sequence[Example], featuriser: NgramFeaturiser) -> sparse.csr_matrix:
    """Feature weights [N, buckets] of the examples; column 0 (padding) is always 0."""
    ids, weights, ends = [], [], [0]
    for example in examples:
        row, value = featuriser(example.text, example.concepts)
        ids.append(row)
        weights.append(value)
        ends.append(ends[-1] + len(row))
    shape = (len(examples), featuriser.buckets)
    if not examples:
        return sparse.csr_matrix(shape, dtype=np.float32)
    return sparse.csr_matrix((np.concatenate(weights), np.concatenate(ids), ends), shape=shape)


def inverse_document_frequency(counts: sparse.csr_matrix) -> Floats:
    """Smoothed idf [buckets]: ln((1 + N) / (1 + df)) + 1."""
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    idf: Floats = (np.log((1 + counts.shape[0]) / (1 + frequency)) + 1.0).astype(np.float32)
    return idf


def tf_idf(counts: sparse.csr_matrix, idf: Floats) -> sparse.csr_matrix:
    """Rows of unit length: counts times idf, divided by the row's Euclidean norm."""
    weighted = counts.copy().astype(np.float32)
    weighted.data = weighted.data * idf[weighted.indices]
    squares = np.add.reduceat(
        np.append(weighted.data**2, np.float32(0)), np.minimum(weighted.indptr[:-1], weighted.nnz)
    )
    lengths = np.diff(weighted.indptr)
    norms = np.sqrt(np.where(lengths > 0, squares, 1.0))
    weighted.data = (weighted.data / np.repeat(np.maximum(norms, 1e-12), lengths)).astype(
        np.float32
    )
    return weighted

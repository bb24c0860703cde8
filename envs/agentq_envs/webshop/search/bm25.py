"""BM25 in the arithmetic of Lucene 8: float32 factors, document lengths in a one-byte code.

Source: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
eq. 3.15, without its constant factor k1 + 1; k1 = 0.9 and b = 0.4 are Anserini's defaults.
A term of weight w that occurs tf times adds w - w / (1 + tf * c): `saturation` is the divisor.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

K1 = np.float32(0.9)
B = np.float32(0.4)
_EXACT_LENGTHS = 24  # shorter documents keep their length in Lucene's one-byte code


def quantised_lengths(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Document lengths after Lucene's one-byte code, (N,) tokens.

    Up to 24 exact; above, the excess over 24 is cut down to its four leading bits.
    """
    excess = np.maximum(lengths - _EXACT_LENGTHS, 0)
    dropped_bits = np.maximum(np.frexp(excess)[1].astype(np.int64) - 4, 0)
    return np.minimum(lengths, _EXACT_LENGTHS) + ((excess >> dropped_bits) << dropped_bits)


def inverse_norms(lengths: npt.NDArray[np.int64], average_length: float) -> npt.NDArray[np.float32]:
    """c = 1 / (k1 (1 - b + b L / avgL)) per document, (N,) float32; avgL is not quantised."""
    quantised = quantised_lengths(lengths).astype(np.float32)
    one = np.float32(1)
    return one / (K1 * ((one - B) + B * quantised / np.float32(average_length)))


def saturations(
    counts: npt.NDArray[np.int32], norms_of_postings: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """1 + tf * c per posting, (P,) float32."""
    return np.float32(1) + counts.astype(np.float32) * norms_of_postings


def term_weight(repeats: int, documents: int, documents_with_term: int) -> np.float32:
    """W = q ln(1 + (N - n + 0.5) / (n + 0.5)) of a query term that the query holds q times."""
    rarity = math.log(1 + (documents - documents_with_term + 0.5) / (documents_with_term + 0.5))
    return np.float32(repeats) * np.float32(rarity)

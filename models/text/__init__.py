"""Text in, findings out: normalisation, matching, negation and context, for Chinese and English."""

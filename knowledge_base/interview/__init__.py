"""The interview's data: questions for several findings, wordings, priors, words of replies."""

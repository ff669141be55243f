"""The engine: a pure scheduler, one thin async shell around it, and the hosted models."""

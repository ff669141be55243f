"""Several HTTP processes before one process that owns the models, under one supervisor."""

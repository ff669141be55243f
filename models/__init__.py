"""What is hosted and how a model runs: pure code without HTTP, database or clock."""

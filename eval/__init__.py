"""How good it is: benchmarks on files in documented formats. See docs/evaluation.md."""

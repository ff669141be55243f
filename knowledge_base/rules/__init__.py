"""Triage rules: YAML data with sources, and one small evaluator in three-valued logic."""

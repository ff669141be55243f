"""Triage: from a patient's words to disposition, departments, next question and advice."""

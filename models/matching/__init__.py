"""Specialist matching: who of a roster fits a patient's need, in what order and why. Pure."""

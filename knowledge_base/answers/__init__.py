"""Answers to questions, made of sentences that somebody else wrote, each with its place."""

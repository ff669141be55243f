"""What medicine says: guideline cards, lexicon, rules and search. Imports nothing of ours."""

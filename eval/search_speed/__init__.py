"""How fast search is, how much memory it takes and how long an index is in the making.

    python -m eval.search_speed --data FOLDER --chunks 100000 --report FILE

Each system works in a fresh process of its own (`worker`), as it would serve; blocks of queries go
round the systems, so that whatever else the machine does falls on all of them. Times and
memory are of this machine: compare the ratios.
"""

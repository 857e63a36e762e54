"""Lives of batchsync drawn from a seed: crashes, faults and late arrivals, judged by the vendors' own books.

`PYTHONPATH=tests python -m simulation --seed 7` plays one seed; `--seeds 2000 --jobs 4` plays many.
"""

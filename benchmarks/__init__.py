"""secretsmith against its peers, on the same files, in the same run: ``python -m benchmarks``, ``make bench``.

:mod:`~benchmarks.cases` says what is measured, :mod:`~benchmarks.goals` what must be reached, :mod:`~benchmarks.measure` how time
and memory are taken, :mod:`~benchmarks.workshop` and :mod:`~benchmarks.fleet` what the programs work on.
"""

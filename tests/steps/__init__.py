"""The steps of tests/run.py, one module per part of the tree."""

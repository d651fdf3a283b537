"""Keeps the documentation true: runs what its pages show and writes what is generated in them.

Run ``python -m docs.make`` to bring every page up to date, ``python -m docs.make --check`` to see
which are not.
"""

"""What the experiment scripts share: plan slices, run them, read their results, compare them.

Needs Python 3.10 and its standard library, nothing else, so that it runs on a fresh machine.
"""

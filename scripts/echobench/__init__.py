"""What the experiment scripts share: plan slices, run them, read their results, compare them.

Needs Python 3.10 and its standard library, so that it runs on a fresh machine; only the figures of
a report (drawing, figures) want matplotlib, and a report can do without.
"""

"""Tests of the experiment scripts; the programs they start are stand-ins from `stand_ins`."""

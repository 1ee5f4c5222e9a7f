"""Tests of the models: the specification and its cases."""

"""Instances and plans as JSON and YAML."""

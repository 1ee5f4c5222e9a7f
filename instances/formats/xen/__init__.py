"""Xen: xl's hosts and configurations."""

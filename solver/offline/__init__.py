"""The optimum over time: every VM known beforehand."""

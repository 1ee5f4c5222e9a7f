"""The commands of `numaplace`: each parses, makes one call, prints, and sets the exit code."""

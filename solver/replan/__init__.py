"""Running hosts: from where everything is to where it should be."""

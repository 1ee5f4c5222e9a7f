"""What is true about hosts, virtual machines and plans."""

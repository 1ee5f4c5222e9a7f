"""What Linux and its tools say of a host."""

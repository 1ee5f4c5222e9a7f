"""How instances come in and plans go out."""

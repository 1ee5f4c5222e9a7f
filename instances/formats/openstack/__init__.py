"""OpenStack flavours."""

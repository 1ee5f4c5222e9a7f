"""libvirt: capabilities and domains."""

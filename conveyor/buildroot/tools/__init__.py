"""Where the tools of other builders run: on this machine, or in a container."""

"""The lab provider: machines as system containers of this computer. See ``provider``."""

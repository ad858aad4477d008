"""Programs that run on this computer in the platform's LAN, with Python's standard library alone."""

"""The door to the Kubernetes cluster: its API, an administrator's way in, and what its answers mean."""

"""Content-addressed storage and images in OCI's terms: layouts, layers, registries. Knows nothing of bundles."""

"""The edge of the mesh: Envoy's configuration, rendered, and the binary that runs it."""

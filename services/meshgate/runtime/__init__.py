"""What every process of the mesh shares: server, channels, errors, telemetry, settings."""

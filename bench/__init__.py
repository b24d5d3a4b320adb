"""What the gateway costs, beside Envoy as a plain proxy, measured on this machine in one go."""

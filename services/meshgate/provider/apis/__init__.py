"""The APIs of upstreams: where each answers what, with which credentials."""

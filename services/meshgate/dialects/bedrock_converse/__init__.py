"""Amazon Bedrock's Converse API, which upstreams speak: whole answers, and its binary event stream."""

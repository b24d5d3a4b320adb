"""The typed messages of GatewayService as a dialect.

A request is a serialized `ChatRequest`, a plain answer a `ChatResponse`, a chunk of a stream one
`ChatEvents`.
"""

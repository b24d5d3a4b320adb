"""The end of an answer that must not look like one, where no event can say so: sounds, files."""


class Torn:
    """Not a message, in place of one: Envoy cannot read it, and cuts the client's connection.

    A status would end the answer well over HTTP/1.1, where half of a sound looks like all of it.
    A native gRPC client cannot read it either, and gets the status then.
    """

    @staticmethod
    def SerializeToString() -> bytes:
        """No field has the number 31 with the wire type 7."""
        return b"\xff"

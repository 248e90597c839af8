"""The mitmproxy host: the same plugins, in an addon that makes flows of control and data channels."""

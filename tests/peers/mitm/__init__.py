"""The mitmproxy host before real servers and clients, in each of mitmproxy's modes."""

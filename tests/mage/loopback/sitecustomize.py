"""Loaded by Python at its start: a server under test reaches this machine and nothing else.

Mage asks a package index for its newest version and reports its use. In a test that would be slow, and not the same
every day.
"""

import socket

_LOCAL = ("127.0.0.1", "::1", "localhost", "")
_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _refused(sock, address):
    internet = sock.family in (socket.AF_INET, socket.AF_INET6)
    return internet and sock.type & socket.SOCK_STREAM and address[0] not in _LOCAL


def connect(self, address):
    if _refused(self, address):
        raise ConnectionRefusedError(111, f"{address[0]}: tests stay on this machine")
    return _connect(self, address)


def connect_ex(self, address):
    return 111 if _refused(self, address) else _connect_ex(self, address)


def getaddrinfo(host, *arguments, **named):
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and name not in _LOCAL and name != "0.0.0.0":
        raise socket.gaierror(socket.EAI_NONAME, f"{name}: tests stay on this machine")
    return _getaddrinfo(host, *arguments, **named)


socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.getaddrinfo = getaddrinfo

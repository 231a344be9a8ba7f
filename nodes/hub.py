"""The hub: forwards every message in one order to every subscriber. `python -m nodes.hub`.

Publishers connect to the inner address (XSUB), subscribers to the outer one (XPUB). It looks into no message.
"""

import argparse
import signal
import sys
import threading

import zmq

from nodes.ports import listener_on, port_of
from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, HEARTBEAT_MS, HIGH_WATER_MARK, MAX_ENVELOPE
from nodes.wire.errors import WireError

LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 2 when an address cannot be used, 1 when forwarding ended by itself."""
    parser = argparse.ArgumentParser(prog="python -m nodes.hub", description=__doc__)
    parser.add_argument("--inner", default=DEFAULT_HUB_IN, help="publishers connect here (default %(default)s)")
    parser.add_argument("--outer", default=DEFAULT_HUB_OUT, help="subscribers connect here (default %(default)s)")
    parser.add_argument("--trust-network", action="store_true", help="listen beyond loopback, unencrypted")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        forward(options.inner, options.outer, options.trust_network)
    except WireError as error:
        print(f"hub: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 1


def forward(inner: str, outer: str, trust_network: bool = False) -> None:
    """Forward until interrupted. Raises WireError when an address is taken or not allowed."""
    context = zmq.Context()
    try:
        publishers = _bound(context, zmq.XSUB, inner, trust_network)
        subscribers = _bound(context, zmq.XPUB, outer, trust_network)
    except WireError:
        context.destroy(linger=0)
        raise
    # Python looks at signals in the main thread alone, and never while libzmq's proxy is there and busy: a signal that
    # comes between two messages would be lost.
    proxy = threading.Thread(target=_forward, args=(publishers, subscribers), name="proxy")
    try:
        proxy.start()
        print(f"hub: publishers to {inner}, subscribers to {outer}", flush=True)
        while proxy.is_alive():
            proxy.join(1.0)
    finally:
        context.term()  # ends the proxy, which closes its sockets


def _forward(publishers: "zmq.Socket[bytes]", subscribers: "zmq.Socket[bytes]") -> None:
    try:
        zmq.proxy(publishers, subscribers)
    except zmq.ContextTerminated:
        pass
    finally:
        publishers.close(linger=0)
        subscribers.close(linger=0)


def _bound(
    context: "zmq.Context[zmq.Socket[bytes]]", kind: int, address: str, trust_network: bool
) -> "zmq.Socket[bytes]":
    if not address.startswith(LOOPBACK) and not trust_network:
        raise WireError(
            f"{address} listens beyond this machine, unencrypted and open to everybody there. If that network is your "
            "own, say so: `hub: {trust_network: true}` in the configuration, or --trust-network"
        )
    if not port_of(address):
        raise WireError(f"{address!r} has no port from 1 to 65535; an address looks like tcp://127.0.0.1:5555")
    socket = context.socket(kind)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_ENVELOPE)  # a peer that sends more is disconnected by libzmq
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MARK)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.IPV6, "[" in address)
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise WireError(
                f"{address} is in use by {listener_on(port_of(address))}. Stop that, or choose other ports: "
                "`hub: {inner: tcp://127.0.0.1:7555, outer: tcp://127.0.0.1:7556}` in the configuration"
            ) from error
        raise WireError(f"cannot listen on {address}: {error}; an address looks like tcp://127.0.0.1:5555") from error
    return socket


if __name__ == "__main__":
    sys.exit(main())

"""The hub's doors: where it listens, whom it refuses, and how it ends."""

import signal
import socket
import subprocess
import sys

import psutil
import pytest

from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, Publisher, every
from nodes.wire.messages import Session
from tests import messages as make
from tests.hub import PATIENCE_S, free_ports, meet, running_hub, start_hub

LISTENER = (
    "import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); time.sleep(60)"
)


def run_hub(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A hub that is expected to end by itself."""
    command = [sys.executable, "-m", "nodes.hub", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def listening(pid: int) -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }


def test_it_listens_on_its_two_loopback_ports_and_nowhere_else():
    with running_hub() as hub:
        ports = {int(address.rpartition(":")[2]) for address in (hub.inner, hub.outer)}
        assert listening(hub.process.pid) == {("127.0.0.1", port) for port in ports}


def test_its_default_addresses_are_loopback():
    assert DEFAULT_HUB_IN.startswith("tcp://127.0.0.1:")
    assert DEFAULT_HUB_OUT.startswith("tcp://127.0.0.1:")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_an_ordinary_signal_ends_it_without_a_word(stop):
    with running_hub() as hub:
        hub.process.send_signal(stop)
        assert hub.process.wait(PATIENCE_S) == 0


def test_a_signal_ends_it_while_messages_flow():
    """Three times, as it is a matter of the moment: a hub that only listens between messages misses one in seven."""
    for _ in range(3):
        with running_hub() as hub, Publisher(hub.inner) as bus, every(Session, hub_out=hub.outer) as inbox:
            meet(bus, inbox, make.session())
            for count in range(600):
                bus.send(make.session())
                if count == 300:
                    hub.process.terminate()
            assert hub.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("side", ["--inner", "--outer"])
def test_a_port_in_use_is_refused_and_its_holder_named_and_left_alone(side):
    port, other = free_ports(2)
    with subprocess.Popen([sys.executable, "-c", LISTENER.format(port=port)], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"up\n"
            rest = {"--inner": "--outer", "--outer": "--inner"}[side]
            refused = run_hub(side, f"tcp://127.0.0.1:{port}", rest, f"tcp://127.0.0.1:{other}")
            assert refused.returncode == 2
            assert f"tcp://127.0.0.1:{port} is in use by process {holder.pid} (" in refused.stderr
            assert "create_server" in refused.stderr, "the command tells the user which program it is"
            assert "hub: {inner: tcp://" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
            assert holder.poll() is None
        finally:
            holder.kill()


@pytest.mark.parametrize(
    ("side", "host"),
    [("--outer", "0.0.0.0"), ("--outer", "*"), ("--outer", "192.0.2.1"), ("--outer", "[::]"), ("--inner", "0.0.0.0")],
)
def test_an_address_beyond_loopback_is_refused_unless_trusted(side, host):
    port, other = free_ports(2)
    rest = {"--inner": "--outer", "--outer": "--inner"}[side]
    refused = run_hub(side, f"tcp://{host}:{port}", rest, f"tcp://127.0.0.1:{other}")
    assert refused.returncode == 2
    assert "listens beyond this machine" in refused.stderr
    assert "--trust-network" in refused.stderr


def test_with_the_network_trusted_it_listens_where_it_is_told():
    inner, outer = free_ports(2)
    command = [sys.executable, "-m", "nodes.hub", "--trust-network"]
    # a second loopback address stands for a network: a test must not open a door to a real one
    command += ["--inner", f"tcp://127.0.0.2:{inner}", "--outer", f"tcp://127.0.0.1:{outer}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline().startswith(b"hub: publishers to")
        assert listening(hub.pid) == {("127.0.0.2", inner), ("127.0.0.1", outer)}
        hub.terminate()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:port", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "127.0.0.1:1"])
def test_an_address_that_is_none_is_refused(address):
    refused = run_hub("--outer", address, "--inner", f"tcp://127.0.0.1:{free_ports(1)[0]}")
    assert refused.returncode == 2
    assert refused.stderr.startswith("hub: ")
    assert "Traceback" not in refused.stderr


def test_the_same_port_twice_is_refused():
    (port,) = free_ports(1)
    refused = run_hub("--inner", f"tcp://127.0.0.1:{port}", "--outer", f"tcp://127.0.0.1:{port}")
    assert refused.returncode == 2
    assert "is in use by process" in refused.stderr


def test_it_listens_on_the_loopback_of_ipv6():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    inner, outer = (f"tcp://[::1]:{port}" for port in free_ports(2))
    hub = start_hub(inner, outer)
    try:
        with Publisher(inner) as bus, every(Session, hub_out=outer) as inbox:
            meet(bus, inbox, make.session())
    finally:
        hub.stop()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False

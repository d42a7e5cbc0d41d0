# SPDX-License-Identifier: Apache-2.0
"""Leases in etcd, many and fast, through its JSON gateway. A program of its own, because it runs in etcd's namespace:

    etcd_keys.py fill HOST:PORT PREFIX COUNT          COUNT leases of other nodes
    etcd_keys.py churn HOST:PORT PREFIX RATE SECONDS  as many changes a second: leases go and come back; prints when
    etcd_keys.py toggle HOST:PORT KEY VALUE TIMES     deletes and puts one key; prints when each put was sent
    etcd_keys.py put|delete HOST:PORT PREFIX NUMBER   one lease of another node; prints when
    etcd_keys.py metrics HOST:PORT                    what etcd tells of itself
"""
import base64
import http.client
import ipaddress
import json
import sys
import time

FIRST_SUBNET, SUBNET_LEN = ipaddress.ip_address("10.8.0.0"), 25
FIRST_NODE = ipaddress.ip_address("172.16.0.1")
PER_TRANSACTION = 128  # etcd's default limit
CHURNED = 50  # leases that come and go; they should be there first
GONE_S, THERE_S = 0.25, 0.5


def subnet_of(i):
    return FIRST_SUBNET + i * 2 ** (32 - SUBNET_LEN)


def node_of(i):
    return FIRST_NODE + i


def mac_of(i):
    return f"02:00:{i >> 24 & 255:02x}:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}"


def value(public_ip, vtep_mac):
    return json.dumps({"PublicIP": str(public_ip), "PublicIPv6": None, "BackendType": "vxlan",
                       "BackendData": {"VNI": 1, "VtepMAC": vtep_mac}})


def lease(prefix, i):
    """(key, value) of the i-th other node's lease, as flannel writes it."""
    return f"{prefix}/subnets/{subnet_of(i)}-{SUBNET_LEN}", value(node_of(i), mac_of(i))


class Keys:
    def __init__(self, address):
        self._connection = http.client.HTTPConnection(address)

    def _call(self, what, body):
        self._connection.request("POST", f"/v3/kv/{what}", json.dumps(body))
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise OSError(f"etcd: {said[:300]}")

    @staticmethod
    def _text(text):
        return base64.b64encode(text.encode()).decode()

    def put(self, key, text):
        self._call("put", {"key": self._text(key), "value": self._text(text)})

    def delete(self, key):
        self._call("deleterange", {"key": self._text(key)})

    def metrics(self):
        self._connection.request("GET", "/metrics")
        return self._connection.getresponse().read().decode()

    def put_all(self, pairs):
        self._call("txn", {"success": [{"request_put": {"key": self._text(key), "value": self._text(text)}}
                                       for key, text in pairs]})


def fill(keys, prefix, count):
    for begin in range(0, count, PER_TRANSACTION):
        keys.put_all([lease(prefix, i) for i in range(begin, min(begin + PER_TRANSACTION, count))])


def change(keys, prefix, number, there):
    key, text = lease(prefix, number)
    print(time.monotonic_ns(), flush=True)
    keys.put(key, text) if there else keys.delete(key)


def churn(keys, prefix, rate, seconds):
    begin = time.monotonic()
    changes = int(rate * seconds)
    for i in range(changes):
        change(keys, prefix, i // 2 % CHURNED, i % 2)
        time.sleep(max(0, begin + (i + 1) / rate - time.monotonic()))


def toggle(keys, key, text, times):
    for _ in range(times):
        keys.delete(key)
        time.sleep(GONE_S)
        print(time.monotonic_ns(), flush=True)
        keys.put(key, text)
        time.sleep(THERE_S)


def main(command, address, *rest):
    keys = Keys(address)
    if command == "fill":
        fill(keys, rest[0], int(rest[1]))
    elif command == "churn":
        churn(keys, rest[0], float(rest[1]), float(rest[2]))
    elif command == "toggle":
        toggle(keys, rest[0], rest[1], int(rest[2]))
    elif command in ("put", "delete"):
        change(keys, rest[0], int(rest[1]), command == "put")
    elif command == "metrics":
        print(keys.metrics())
    else:
        sys.exit(f"etcd_keys.py: no command {command}")


if __name__ == "__main__":
    main(*sys.argv[1:])

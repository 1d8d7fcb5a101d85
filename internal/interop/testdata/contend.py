"""Takes turns under kazoo's Lock, or as the leader of its Election, at the orders of a test: see internal/interop/contend.

With --told it recognises the names of Curator, docent and go-zookeeper besides its own. With --curator it also uses names
that Curator recognises. Otherwise it is kazoo as it comes, which only docent's lock gets along with.
"""

import os
import sys
import time

from kazoo.client import KazooClient
from kazoo.recipe.election import Election
from kazoo.recipe.lock import Lock


class CuratorNamed(Lock):
    _NODE_NAME = "-lock-"


def make(zk, path):
    if "--curator" in sys.argv[1:]:
        return CuratorNamed(zk, path, "kazoo", extra_lock_patterns=["lock-"])
    if "--told" in sys.argv[1:]:
        return Lock(zk, path, "kazoo", extra_lock_patterns=["lock-"])
    return Lock(zk, path, "kazoo")


def turns(addr, path, counter, n):
    zk = KazooClient(hosts=addr, timeout=20)
    zk.start()
    lock = make(zk, path)
    for _ in range(int(n)):
        with lock:
            add_one(counter)
    zk.stop()


def terms(addr, path, counter, n, layout):
    zk = KazooClient(hosts=addr, timeout=20)
    zk.start()
    election = Election(zk, path, "kazoo")
    for _ in range(int(n)):
        election.run(add_one, counter)
    zk.stop()


def add_one(counter):
    os.close(os.open(counter + ".inside", os.O_CREAT | os.O_EXCL))  # fails if it is there: two inside
    with open(counter) as f:
        n = int(f.read())
    time.sleep(0.001)
    with open(counter, "w") as f:
        f.write(str(n + 1))
    os.remove(counter + ".inside")


print("ready", flush=True)
for line in sys.stdin:
    order, *args = line.split()
    {"turns": turns, "terms": terms}[order](*args)
    print("done", flush=True)

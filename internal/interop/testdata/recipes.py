"""Recipes of kazoo, by orders on the standard input: VERB ADDR PATH ARGUMENTS, each answered by "done ANSWER"."""
import sys
import threading

from kazoo.client import KazooClient
from kazoo.recipe.barrier import Barrier
from kazoo.recipe.counter import Counter
from kazoo.recipe.election import Election
from kazoo.exceptions import LockTimeout
from kazoo.recipe.lock import ReadLock, WriteLock
from kazoo.recipe.party import Party, ShallowParty

clients = {}
held = []


def client(addr):
    if addr not in clients:
        clients[addr] = KazooClient(hosts=addr, timeout=10)
        clients[addr].start()
    return clients[addr]


class Candidate:
    """Stands for election on a thread of its own, and leads until it leaves."""

    def __init__(self, c, path, who):
        self.election = Election(c, path, who)
        self.leads, self.left = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.election.run, args=(self.lead,), daemon=True)
        self.thread.start()

    def lead(self):
        self.leads.set()
        self.left.wait()

    def leave(self):
        self.left.set()
        self.thread.join()


def run(verb, addr, path, *args):
    c = client(addr)
    if verb == "count":  # DELTA
        n = Counter(c, path)
        n += int(args[0])
        return str(n.value)
    if verb == "curatorcount":  # the same as Curator's SharedCount
        n = Counter(c, path, support_curator=True)
        n += int(args[0])
        return str(n.value)
    if verb in ("read", "write"):  # SECONDS: whether it has the lock by then, until it leaves
        lock = (ReadLock if verb == "read" else WriteLock)(c, path, "kazoo")
        try:
            lock.acquire(timeout=float(args[0]))
        except LockTimeout:
            return "False"
        lock.leave = lock.release
        held.append(lock)
        return "True"
    if verb == "close":
        return str(Barrier(c, path).create() or "")
    if verb == "open":
        return str(Barrier(c, path).remove())
    if verb == "wait":  # SECONDS
        return str(Barrier(c, path).wait(float(args[0])))
    if verb == "join":  # ID
        party = Party(c, path, args[0])
        party.join()
        held.append(party)
        return ""
    if verb == "members":  # their number, and what they say
        party = Party(c, path)
        return "%d %s" % (len(party), " ".join(sorted(party)))
    if verb == "joinshallow":  # ID
        party = ShallowParty(c, path, args[0])
        party.join()
        held.append(party)
        return ""
    if verb == "shallow":  # their number, and their names
        party = ShallowParty(c, path)
        return "%d %s" % (len(party), " ".join(sorted(party)))
    if verb == "elect":  # ID SECONDS: whether it leads by then; it goes on until it leaves
        candidate = Candidate(c, path, args[0])
        held.append(candidate)
        return str(candidate.leads.wait(float(args[1])))
    if verb == "elected":  # who leads
        return Election(c, path).contenders()[0]
    if verb == "leave":
        while held:
            held.pop().leave()
        return ""
    raise ValueError(verb)


print("ready", flush=True)
for line in sys.stdin:
    print("done", run(*line.split()), flush=True)

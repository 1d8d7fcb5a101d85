"""Checks a ZooKeeper server through kazoo, the Python client (Debian: python3-kazoo).

Usage: kazoo_checks.py --addr HOST:PORT [--other HOST:PORT] [--timeout-ms N]

Each check compares one value, Stat field, event or error with what ZooKeeper answers, and prints "ok NAME" or
"FAIL NAME: got ... want ...". The last line counts them; the exit code is 1 when one failed. --other is another
member of the same ensemble (default: the same server): sessions move there and writes are read there.

It is one file so that it can be taken to any machine that has kazoo, and pointed at any server.
"""

import argparse
import logging
import queue
import re
import sys
import threading
import time
import uuid

from kazoo import exceptions as kx
from kazoo.client import KazooClient, KazooState
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.serialization import Create
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.version import __version__ as kazoo_version
from kazoo.security import ACL, Id, Permissions, make_acl, make_digest_acl

WAIT = 20  # seconds until something that should happen counts as missing
FRAME_LIMIT = 0xFFFFF  # the server's default jute.maxbuffer, inclusive


class Report:
    """Prints and counts the checks; a name may be used once only."""

    def __init__(self):
        self.names, self.failed = set(), 0

    def eq(self, name, got, want):
        if name in self.names:
            got, want = "name used twice", "one check of this name"
        self.names.add(name)
        if got == want:
            print("ok", name, flush=True)
        else:
            self.failed += 1
            print("FAIL %s: got %r want %r" % (name, got, want), flush=True)

    def raises(self, name, want, fn, *args, **kwargs):
        try:
            got = fn(*args, **kwargs)
        except Exception as e:  # whatever it is, it is what we compare
            got = type(e)
        self.eq(name, got, want)

    def run(self, scenario, *args):
        """Runs a group of checks; what it throws is a failure of the group, and the other groups still run."""
        try:
            scenario(*args)
        except Exception as e:
            self.eq(scenario.__name__ + " runs to its end", "%s: %s" % (type(e).__name__, e), None)


class Switch(SequentialThreadingHandler):
    """A kazoo handler whose connections can be cut, refused, and led to another server."""

    def __init__(self, target):
        super().__init__()
        self.target, self.live = target, None

    def create_connection(self, *args, **kwargs):
        if self.target is None:
            raise ConnectionRefusedError("cut off by the check")
        host, port = self.target.rsplit(":", 1)
        kwargs["address"] = (host, int(port))
        self.live = super().create_connection(*args, **kwargs)
        return self.live

    def cut(self, target):
        """Closes the connection; new ones go to target, or fail while it is None."""
        self.target = target
        self.live.shutdown(2)


class Env:
    """What every scenario needs: the servers, the report, and clients below the root of this run."""

    def __init__(self, options):
        self.addr, self.other = options.addr, options.other or options.addr
        self.timeout = options.timeout_ms / 1000
        self.root = "/interop-kazoo-" + uuid.uuid4().hex[:12]
        self.report = Report()
        self.clients = []

    def client(self, chroot=True, addr=None, **kwargs):
        kwargs.setdefault("connection_retry", dict(max_tries=-1, delay=0.05, backoff=1, max_delay=0.2))
        hosts = (addr or self.addr) + (self.root if chroot else "")
        zk = KazooClient(hosts=hosts, timeout=self.timeout, randomize_hosts=False, **kwargs)
        self.clients.append(zk)
        zk.start(timeout=WAIT)
        return zk

    def close(self):
        for zk in self.clients:
            try:
                zk.stop()
                zk.close()
            except Exception as e:  # one that hangs must not hide the result of the checks
                print("# closing a client: %s: %s" % (type(e).__name__, e), flush=True)


class Events(queue.Queue):
    """A watch function that keeps its events."""

    def __call__(self, event):
        self.put(event)

    def next(self):
        try:
            e = self.get(timeout=WAIT)
        except queue.Empty:
            return ("no event", None)
        return (e.type, e.path)


def until(fn, want=True):
    """Polls fn until it answers want, or time is up; returns its last answer."""
    end = time.monotonic() + WAIT
    while True:
        got = fn()
        if got == want or time.monotonic() > end:
            return got
        time.sleep(0.02)


def nodes(env):
    r, zk = env.report, env.client()
    r.eq("create: answers the path", zk.create("/n", b"one"), "/n")
    data, st = zk.get("/n")
    r.eq("getData: the data", data, b"one")
    r.eq("getData: a new node's versions", (st.version, st.cversion, st.aversion), (0, 0, 0))
    r.eq("getData: czxid, mzxid and pzxid are one", (st.mzxid, st.pzxid), (st.czxid, st.czxid))
    r.eq("getData: dataLength and numChildren", (st.dataLength, st.numChildren), (3, 0))
    r.eq("getData: ephemeralOwner of a persistent node", st.ephemeralOwner, 0)
    r.eq("getData: ctime is mtime, near the present",
         (st.ctime == st.mtime, abs(st.ctime / 1000 - time.time()) < 60), (True, True))
    r.raises("create: NodeExists", kx.NodeExistsError, zk.create, "/n", b"")
    r.raises("create: NoNode without a parent", kx.NoNodeError, zk.create, "/gap/n", b"")
    r.raises("getData: NoNode", kx.NoNodeError, zk.get, "/none")
    r.eq("exists: None for a missing node", zk.exists("/none"), None)
    r.eq("exists: the same Stat as getData", zk.exists("/n"), st)

    after = zk.set("/n", b"second")
    r.eq("setData: version 1, dataLength 6", (after.version, after.dataLength), (1, 6))
    r.eq("setData: mzxid grows, czxid and pzxid stay",
         (after.mzxid > st.mzxid, after.czxid, after.pzxid), (True, st.czxid, st.pzxid))
    r.eq("setData: can be read back", zk.get("/n"), (b"second", after))
    r.eq("setData: with the right version", zk.set("/n", b"third", version=1).version, 2)
    r.raises("setData: BadVersion", kx.BadVersionError, zk.set, "/n", b"x", version=1)
    r.raises("setData: version -2 never matches", kx.BadVersionError, zk.set, "/n", b"x", version=-2)
    r.raises("setData: NoNode", kx.NoNodeError, zk.set, "/none", b"x")
    zk.set("/n", None)
    r.eq("setData: null data stays null", (zk.get("/n")[0], zk.exists("/n").dataLength), (None, 0))
    zk.set("/n", b"")
    r.eq("setData: empty data stays empty", (zk.get("/n")[0], zk.exists("/n").dataLength), (b"", 0))

    r.raises("delete: BadVersion", kx.BadVersionError, zk.delete, "/n", version=1)
    r.raises("delete: NoNode", kx.NoNodeError, zk.delete, "/none")
    zk.create("/n/kid", b"")
    r.raises("delete: NotEmpty", kx.NotEmptyError, zk.delete, "/n")
    zk.delete("/n/kid", version=0)
    zk.delete("/n")
    r.eq("delete: gone", zk.exists("/n"), None)
    r.raises("delete: /zookeeper is reserved", kx.BadArgumentsError, env.client(chroot=False).delete, "/zookeeper")

    path, st = zk.create("/two", b"abc", include_data=True)
    r.eq("create2: path and Stat", (path, st), ("/two", zk.exists("/two")))
    path, st = zk.create("/two/s-", b"", include_data=True, sequence=True, ephemeral=True)
    r.eq("create2: sequential ephemeral", (path, st.ephemeralOwner), ("/two/s-0000000000", zk.client_id[0]))


def counters(env):
    r, zk = env.report, env.client()
    zk.create("/c", b"")
    st = zk.exists("/c")
    r.eq("sequence: starts at 0", zk.create("/c/q-", b"", sequence=True), "/c/q-0000000000")
    zk.create("/c/plain", b"")
    r.eq("sequence: plain creates count too", zk.create("/c/q-", b"", sequence=True), "/c/q-0000000002")
    zk.delete("/c/q-0000000002")
    r.eq("sequence: deletes do not set it back", zk.create("/c/q-", b"", sequence=True), "/c/q-0000000003")
    r.eq("sequence: the name may be empty", zk.create("/c/", b"", sequence=True), "/c/0000000004")
    r.raises("sequence: a failed create", kx.NodeExistsError, zk.create, "/c/plain", b"")
    r.eq("sequence: a failed create does not count", zk.create("/c/q-", b"", sequence=True), "/c/q-0000000005")
    now = zk.exists("/c")
    r.eq("parent: cversion counts creates and deletes", (now.cversion, now.numChildren), (7, 5))
    r.eq("parent: pzxid grows, mzxid and version stay",
         (now.pzxid > st.pzxid, now.mzxid, now.version), (True, st.mzxid, 0))
    last = zk.exists("/c/q-0000000005")
    r.eq("parent: pzxid is the czxid of the last child", now.pzxid, last.czxid)
    zk.delete("/c/q-0000000005")
    r.eq("parent: a delete moves pzxid on", zk.exists("/c").pzxid > last.czxid, True)
    zk.create("/c/plain/grandchild", b"")
    r.eq("parent: grandchildren leave it alone", zk.exists("/c").cversion, 8)

    names, st = zk.get_children("/c", include_data=True)
    r.eq("getChildren: names", sorted(zk.get_children("/c")),
         ["0000000004", "plain", "q-0000000000", "q-0000000003"])
    r.eq("getChildren2: the same names, and the Stat", (sorted(names), st),
         (sorted(zk.get_children("/c")), zk.exists("/c")))
    r.eq("getChildren: none is an empty list", zk.get_children("/c/plain/grandchild"), [])
    r.raises("getChildren: NoNode", kx.NoNodeError, zk.get_children, "/none")

    zk.create("/piped", b"")
    made = [zk.create_async("/piped/p-", b"%d" % i, sequence=True) for i in range(300)]
    paths = [m.get(timeout=WAIT) for m in made]
    r.eq("pipeline: 300 creates are numbered in the order they were sent",
         paths, ["/piped/p-%010d" % i for i in range(300)])
    reads = [zk.get_async(p) for p in paths]
    r.eq("pipeline: 300 reads answer each its own", [g.get(timeout=WAIT)[0] for g in reads],
         [b"%d" % i for i in range(300)])


def large(env):
    r = env.report
    zk = env.client()
    zk.create("/big", b"")
    room = FRAME_LIMIT - (8 + 4 + len(env.root + "/big") + 4 + 4)
    blob = bytes(i * 31 % 251 for i in range(room))
    r.eq("limit: a frame of exactly 1048575 bytes", zk.set("/big", blob).dataLength, room)
    r.eq("limit: and it is read back", zk.get("/big")[0] == blob, True)
    session = zk.client_id[0]
    r.raises("limit: one byte more closes the connection", kx.ConnectionLoss, zk.set, "/big", blob + b"x")
    r.eq("limit: the session lives on, the node is as it was",
         (until(lambda: zk.connected), zk.retry(zk.exists, "/big").version, zk.client_id[0]), (True, 1, session))


def ephemerals(env):
    r, zk, other = env.report, env.client(), env.client(addr=env.other)
    zk.create("/e", b"", ephemeral=True)
    r.eq("ephemeral: owner is the session", zk.exists("/e").ephemeralOwner, zk.client_id[0])
    r.raises("ephemeral: has no children", kx.NoChildrenForEphemeralsError, zk.create, "/e/kid", b"")
    other.sync("/e")
    r.eq("sync: the other client sees it with its owner", other.exists("/e").ephemeralOwner, zk.client_id[0])
    r.raises("ephemeral: another session cannot take the name", kx.NodeExistsError,
             other.create, "/e", b"", ephemeral=True)
    seq = zk.create("/es-", b"", ephemeral=True, sequence=True)
    r.eq("ephemeral: sequential", bool(re.fullmatch(r"/es-\d{10}", seq)), True)

    gone = Events()
    other.exists("/e", watch=gone)
    before = other.exists("/e").czxid
    zk.stop()
    r.eq("closeSession: its ephemeral is deleted at once", gone.next(), ("DELETED", "/e"))
    r.eq("closeSession: all of them are", (other.exists("/e"), other.exists(seq)), (None, None))
    r.eq("closeSession: the name is free again",
         other.exists(other.create("/e", b"", ephemeral=True)).czxid > before, True)


def transactions(env):
    r, zk = env.report, env.client()
    zk.create("/m", b"a")
    t = zk.transaction()
    t.create("/m/kid", b"1")
    t.set_data("/m", b"b")
    t.check("/m", 1)
    t.create("/m/s-", b"", sequence=True)
    t.delete("/m/kid", 0)
    got = t.commit()
    r.eq("multi: results in order", (got[0], got[1].version, got[2], got[3], got[4]),
         ("/m/kid", 1, True, "/m/s-0000000001", True))
    r.eq("multi: all of it happened", (zk.get("/m")[0], zk.get_children("/m")), (b"b", ["s-0000000001"]))
    st = zk.exists("/m")
    r.eq("multi: one zxid for all", (st.mzxid, zk.exists("/m/s-0000000001").czxid), (st.pzxid, st.pzxid))

    t = zk.transaction()
    t.create("/m/x", b"")
    t.create("/m/s-", b"", sequence=True)
    t.check("/m", 99)
    t.delete("/m/x")
    got = t.commit()
    r.eq("multi: the failing check", type(got[2]), kx.BadVersionError)
    r.eq("multi: rolled back before it", [type(g) for g in got[:2]], [kx.RolledBackError] * 2)
    r.eq("multi: not tried after it", type(got[3]), kx.RuntimeInconsistency)
    r.eq("multi: nothing of it happened", (zk.exists("/m/x"), zk.exists("/m")), (None, st))
    r.eq("multi: the sequence counter is rolled back", zk.create("/m/s-", b"", sequence=True), "/m/s-0000000002")

    def first_error(prepare):
        t = zk.transaction()
        prepare(t)
        return type(t.commit()[0])

    r.eq("multi: check of a missing node", first_error(lambda t: t.check("/none", 0)), kx.NoNodeError)
    r.eq("multi: create NodeExists", first_error(lambda t: t.create("/m", b"")), kx.NodeExistsError)
    r.eq("multi: delete NotEmpty", first_error(lambda t: t.delete("/m")), kx.NotEmptyError)
    r.eq("multi: setData NoNode", first_error(lambda t: t.set_data("/none", b"")), kx.NoNodeError)
    t = zk.transaction()
    t.create("/m/e", b"", ephemeral=True)
    t.commit()
    r.eq("multi: an ephemeral belongs to the session", zk.exists("/m/e").ephemeralOwner, zk.client_id[0])


def watches(env):
    r, zk, writer = env.report, env.client(), env.client()
    ev = Events()
    r.eq("watch: exists on a missing node", zk.exists("/w", watch=ev), None)
    writer.create("/w", b"")
    r.eq("watch: NodeCreated", ev.next(), ("CREATED", "/w"))
    zk.exists("/w", watch=ev)
    writer.set("/w", b"1")
    r.eq("watch: exists sees NodeDataChanged", ev.next(), ("CHANGED", "/w"))
    zk.get("/w", watch=ev)
    writer.set("/w", b"2")
    r.eq("watch: getData sees NodeDataChanged", ev.next(), ("CHANGED", "/w"))
    writer.set("/w", b"3")
    zk.get_children("/w", watch=ev)
    writer.create("/w/a", b"")
    r.eq("watch: one-shot, so the next event is the child's", ev.next(), ("CHILD", "/w"))
    writer.create("/w/b", b"")
    zk.get_children("/w", watch=ev)
    writer.delete("/w/a")
    r.eq("watch: NodeChildrenChanged on a delete", ev.next(), ("CHILD", "/w"))
    zk.get_children("/w", watch=ev)
    writer.set("/w/b", b"x")
    writer.set("/w", b"y")
    writer.delete("/w/b")
    r.eq("watch: data changes are no child events", (ev.next(), ev.qsize()), (("CHILD", "/w"), 0))

    zk.get_children("/w", watch=ev)
    zk.exists("/w/c", watch=ev)
    zk.create("/w/c", b"")
    r.eq("watch: the node's event before its parent's", (ev.next(), ev.next()), (("CREATED", "/w/c"), ("CHILD", "/w")))
    zk.exists("/w/c", watch=ev)
    zk.get_children("/w", watch=ev)
    writer.delete("/w/c")
    r.eq("watch: deleted before the parent's", (ev.next(), ev.next()), (("DELETED", "/w/c"), ("CHILD", "/w")))
    zk.get_children("/w", watch=ev)
    writer.delete("/w")
    r.eq("watch: getChildren sees NodeDeleted", ev.next(), ("DELETED", "/w"))
    try:
        zk.get("/w", watch=ev)
    except kx.NoNodeError:
        pass
    writer.create("/w", b"")
    writer.create("/marker", b"")
    zk.exists("/marker", watch=ev)
    writer.delete("/marker")
    r.eq("watch: a failed getData leaves none", ev.next(), ("DELETED", "/marker"))

    zk.get("/w", watch=ev)
    zk.exists("/w/late", watch=ev)
    t = writer.transaction()
    t.set_data("/w", b"m1")
    t.set_data("/w", b"m2")
    t.create("/w/late", b"")
    t.commit()
    r.eq("watch: a multi fires each once, in its order", (ev.next(), ev.next()), (("CHANGED", "/w"), ("CREATED", "/w/late")))
    zk.get("/w", watch=ev)
    writer.set_acls("/w", [make_acl("world", "anyone", all=True)])
    writer.set("/w", b"after")
    r.eq("watch: setACL fires nothing", (ev.next(), ev.qsize()), (("CHANGED", "/w"), 0))


def acls(env):
    r, zk = env.report, env.client()
    zk.create("/acl", b"x")
    open_acl = [ACL(31, Id("world", "anyone"))]
    st = zk.exists("/acl")
    r.eq("getACL: open by default, with the Stat", zk.get_acls("/acl"), (open_acl, st))
    reader = [make_acl("world", "anyone", read=True, admin=True)]
    after = zk.set_acls("/acl", reader)
    r.eq("setACL: aversion grows, mzxid and version stay",
         (after.aversion, after.mzxid, after.version), (1, st.mzxid, 0))
    r.eq("setACL: can be read back", zk.get_acls("/acl"), ([ACL(Permissions.READ | Permissions.ADMIN, Id("world", "anyone"))], after))
    r.raises("setACL: BadVersion", kx.BadVersionError, zk.set_acls, "/acl", open_acl, version=7)
    r.raises("setACL: NoNode", kx.NoNodeError, zk.set_acls, "/none", open_acl)
    r.raises("setACL: InvalidACL for an unknown scheme", kx.InvalidACLError, zk.set_acls, "/acl", [make_acl("moon", "x", all=True)])
    r.raises("create: InvalidACL for a bad digest id", kx.InvalidACLError, zk.create, "/acl2", b"", [make_acl("digest", "nocolon", all=True)])
    r.raises("setData: NoAuth without WRITE", kx.NoAuthError, zk.set, "/acl", b"y")
    r.raises("create: NoAuth without CREATE on the parent", kx.NoAuthError, zk.create, "/acl/kid", b"")
    r.eq("setACL: with the right version", zk.set_acls("/acl", open_acl, version=1).aversion, 2)
    zk.create("/acl/kid", b"")
    zk.set_acls("/acl", [make_acl("world", "anyone", read=True, create=True, admin=True)])
    r.raises("delete: NoAuth without DELETE on the parent", kx.NoAuthError, zk.delete, "/acl/kid")

    r.raises("create: scheme auth needs an authenticated client", kx.InvalidACLError,
             zk.create, "/mine", b"", [make_acl("auth", "", all=True)])
    owner = env.client()
    owner.add_auth("digest", "u:p")
    owner.create("/mine", b"secret", [make_acl("auth", "", all=True)])
    u = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="
    r.eq("auth: scheme auth is stored as the digest", owner.get_acls("/mine")[0], [ACL(31, Id("digest", u))])
    r.raises("auth: getData is refused to a stranger", kx.NoAuthError, zk.get, "/mine")
    r.raises("auth: getChildren is refused to a stranger", kx.NoAuthError, zk.get_children, "/mine")
    r.raises("auth: setACL is refused to a stranger", kx.NoAuthError, zk.set_acls, "/mine", open_acl)
    r.eq("auth: the owner reads", owner.get("/mine")[0], b"secret")
    zk.add_auth("digest", "u:wrong")
    r.raises("auth: a wrong password stays a stranger's", kx.NoAuthError, zk.get, "/mine")
    zk.add_auth("digest", "u:p")
    r.eq("auth: ids add up on a connection", zk.get("/mine")[0], b"secret")
    owner.set_acls("/mine", [make_digest_acl("u", "p", all=True), make_acl("world", "anyone", read=True)])
    r.eq("auth: two entries are kept in order", owner.get_acls("/mine")[0],
         [ACL(31, Id("digest", u)), ACL(1, Id("world", "anyone"))])


def chroot(env):
    r, zk, bare = env.report, env.client(), env.client(chroot=False)
    zk.ensure_path("/deep/er")
    r.eq("chroot: the node lies below the root", bare.exists(env.root + "/deep/er") is not None, True)
    ev = Events()
    zk.exists("/deep/er/x", watch=ev)
    bare.create(env.root + "/deep/er/x", b"")
    r.eq("chroot: events carry the short path", ev.next(), ("CREATED", "/deep/er/x"))
    zk.delete("/deep", recursive=True)
    r.eq("chroot: recursive delete", bare.exists(env.root + "/deep"), None)
    r.eq("root: /zookeeper is listed", "zookeeper" in bare.get_children("/"), True)
    r.raises("path: a control character", kx.BadArgumentsError, zk.create, "/bad\x01name", b"")
    r.raises("path: a component that is a dot", kx.BadArgumentsError, raw_create, bare, env.root + "/.")
    r.raises("create: the root exists", kx.NodeExistsError, bare.create, "/", b"")


def raw_create(zk, path):
    """Sends a create past kazoo's own normalisation of the path."""
    result = zk.handler.async_result()
    zk._call(Create(path, b"", [ACL(31, Id("world", "anyone"))], 0), result)
    return result.get(timeout=WAIT)


def cut_connection(env):
    r = env.report
    switch = Switch(env.addr)
    zk, writer = env.client(handler=switch), env.client()
    states = queue.Queue()
    zk.add_listener(states.put)
    zk.add_auth("digest", "u:p")
    zk.create("/kept", b"k", [make_acl("auth", "", all=True)], ephemeral=True)
    session = zk.client_id[0]
    switch.cut(env.other)
    r.eq("re-attach: suspended, then connected",
         (states.get(timeout=WAIT), states.get(timeout=WAIT)), (KazooState.SUSPENDED, KazooState.CONNECTED))
    r.eq("re-attach: the session is the same", zk.client_id[0], session)
    r.eq("re-attach: its ephemeral is still its own", zk.retry(zk.exists, "/kept").ephemeralOwner, session)
    r.eq("re-attach: kazoo authenticates again", zk.retry(zk.get, "/kept")[0], b"k")
    r.eq("re-attach: and can write", zk.retry(zk.set, "/kept", b"k2").version, 1)

    writer.add_auth("digest", "u:p")  # events about a node reach only those who may read it
    gone = Events()
    writer.sync("/kept")  # it may be at another server, and the write above is no news to wait for
    writer.exists("/kept", watch=gone)
    lost = time.monotonic()
    switch.cut(None)
    r.eq("expiry: the ephemeral is deleted", gone.next(), ("DELETED", "/kept"))
    r.eq("expiry: not before the timeout", time.monotonic() - lost > env.timeout / 2, True)
    switch.target = env.addr
    seen = [states.get(timeout=WAIT) for _ in range(3)]
    r.eq("expiry: the client is told, and connects anew", seen,
         [KazooState.SUSPENDED, KazooState.LOST, KazooState.CONNECTED])
    r.eq("expiry: the new session is another one", zk.client_id[0] != session, True)


def other_server(env):
    r, here, there = env.report, env.client(), env.client(addr=env.other)
    for i in range(20):
        here.create("/x%d" % i, b"%d" % i)
    there.sync("/x0")
    r.eq("sync: the other server has all earlier writes",
         [there.get("/x%d" % i)[0] for i in range(20)], [b"%d" % i for i in range(20)])
    r.eq("other server: the same Stat", there.exists("/x0"), here.exists("/x0"))
    r.eq("sync: needs no node", here.sync("/never-there"), "/never-there")
    ev = Events()
    here.get("/x1", watch=ev)
    there.set("/x1", b"n")
    r.eq("other server: a write there fires the watch here", ev.next(), ("CHANGED", "/x1"))
    r.raises("other server: versions are compared with the latest", kx.BadVersionError, here.set, "/x1", b"z", version=0)


def recipes(env):
    r, a, b = env.report, env.client(), env.client(addr=env.other)
    la, lb = a.Lock("/locks/l", "a"), b.Lock("/locks/l", "b")
    r.eq("Lock: the first gets it", la.acquire(timeout=WAIT), True)
    r.eq("Lock: a try of the second fails", lb.acquire(blocking=False), False)
    got = queue.Queue()
    t = threading.Thread(target=lambda: got.put(lb.acquire(timeout=WAIT)))
    t.start()
    r.eq("Lock: contenders in order", until(lambda: la.contenders(), ["a", "b"]), ["a", "b"])
    la.release()
    r.eq("Lock: handed over", (got.get(timeout=WAIT), lb.contenders()), (True, ["b"]))
    t.join(WAIT)
    lb.release()

    ran = queue.Queue()
    election = a.Election("/election", "candidate")
    t = threading.Thread(target=election.run, args=(lambda: ran.put(election.contenders()),))
    t.start()
    r.eq("Election: the leader's function runs", ran.get(timeout=WAIT), ["candidate"])
    t.join(WAIT)

    sem = [c.Semaphore("/sem", max_leases=1) for c in (a, b)]
    r.eq("Semaphore: one lease", (sem[0].acquire(timeout=WAIT), sem[1].acquire(blocking=False)), (True, False))
    sem[0].release()
    counter = a.Counter("/counter")
    counter += 3
    counter -= 1
    b.sync("/counter")
    r.eq("Counter: two", b.Counter("/counter").value, 2)
    q = a.Queue("/queue")
    q.put(b"low", priority=200)
    q.put(b"high", priority=10)
    b.sync("/queue")
    r.eq("Queue: by priority", (b.Queue("/queue").get(), b.Queue("/queue").get()), (b"high", b"low"))
    pa, pb = a.Party("/party", "one"), b.Party("/party", "two")
    pa.join()
    pb.join()
    a.sync("/party")
    r.eq("Party: both are there", sorted(pa), ["one", "two"])
    barrier = a.Barrier("/barrier")
    barrier.create()
    b.sync("/barrier")
    r.eq("Barrier: closed", b.Barrier("/barrier").wait(timeout=0.05), False)
    barrier.remove()
    r.eq("Barrier: open", b.Barrier("/barrier").wait(timeout=WAIT), True)

    a.create("/tree", b"")
    seen = queue.Queue()
    cache = TreeCache(b, "/tree")
    cache.listen(lambda e: seen.put((e.event_type, e.event_data.path if e.event_data else None)))
    cache.start()
    first = [seen.get(timeout=WAIT) for _ in range(2)]
    a.create("/tree/leaf", b"green")
    r.eq("TreeCache: follows a create", (first[-1][0], seen.get(timeout=WAIT)),
         (TreeEvent.INITIALIZED, (TreeEvent.NODE_ADDED, "/tree/leaf")))
    r.eq("TreeCache: has the data", cache.get_data("/tree/leaf").data, b"green")
    cache.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--addr", required=True)
    p.add_argument("--other")
    p.add_argument("--timeout-ms", type=int, default=4000)
    logging.basicConfig(level=logging.CRITICAL)  # a dropped connection is part of the checks
    print("client kazoo", kazoo_version)
    env = Env(p.parse_args())
    env.client(chroot=False).ensure_path(env.root)
    for scenario in (nodes, counters, large, ephemerals, transactions, watches, acls, chroot,
                     cut_connection, other_server, recipes):
        env.report.run(scenario, env)
    env.close()
    print("checks %d failed %d" % (len(env.report.names), env.report.failed), flush=True)
    return 1 if env.report.failed else 0


if __name__ == "__main__":
    sys.exit(main())

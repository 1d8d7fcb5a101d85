import static org.apache.zookeeper.CreateMode.*;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.version.Info;

/** Checks a ZooKeeper server through ZooKeeper's own Java client: see Checks. */
public class ZooKeeperChecks extends Checks {
    static final List<ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;
    final String root = "/interop-java-" + UUID.randomUUID();
    final ZooKeeper bare; // without chroot, through the other server

    ZooKeeperChecks(String[] args) throws Exception {
        super("Java", Info.MAJOR + "." + Info.MINOR + "." + Info.MICRO, args);
        bare = dial(other, new Events());
        bare.create(root, null, OPEN, PERSISTENT);
    }

    ZooKeeper dial(String at, Events events) throws Exception {
        ZooKeeper zk = new ZooKeeper(at, timeout, events);
        events.until("SyncConnected");
        return zk;
    }

    /** A client whose paths begin at root. */
    ZooKeeper dial(Events events) throws Exception {
        ZooKeeper zk = dial(addr + root, events);
        sync(zk);
        return zk;
    }

    static void sync(ZooKeeper zk) throws Exception {
        BlockingQueue<Integer> done = new LinkedBlockingQueue<>();
        zk.sync("/", (rc, path, ctx) -> done.add(rc), null);
        Integer rc = done.poll(WAIT, TimeUnit.SECONDS);
        if (rc == null || rc != 0) {
            throw new IllegalStateException("sync: " + rc);
        }
    }

    static byte[] bytes(String s) {
        return s.getBytes();
    }

    void nodes() throws Exception {
        ZooKeeper zk = dial(new Events());
        Stat st = new Stat();
        eq("create: its path", zk.create("/a", bytes("one"), OPEN, PERSISTENT, st), "/a");
        eq("create2: the Stat", versions(st), "0 0 0 3 0");
        eq("create2: zxids", st.getMzxid() == st.getCzxid() && st.getPzxid() == st.getCzxid() && st.getCzxid() > 0, true);
        eq("create2: times", st.getCtime() == st.getMtime() && st.getCtime() > 0, true);
        eq("exists: the same Stat", zk.exists("/a", false), st);
        Stat got = new Stat();
        eq("getData", new String(zk.getData("/a", false, got)), "one");
        eq("getData: the same Stat", got, st);
        eq("exists: no node", zk.exists("/none", false), null);
        fails("create: exists", Code.NODEEXISTS, () -> zk.create("/a", null, OPEN, PERSISTENT));
        fails("create: no parent", Code.NONODE, () -> zk.create("/gap/a", null, OPEN, PERSISTENT));
        fails("create: no ACL", Code.INVALIDACL, () -> zk.create("/noacl", null, new ArrayList<>(), PERSISTENT));
        fails("getData: no node", Code.NONODE, () -> zk.getData("/none", false, null));
        fails("getChildren: no node", Code.NONODE, () -> zk.getChildren("/none", false));
        Stat set = zk.setData("/a", bytes("second"), 0);
        eq("setData: the Stat", versions(set), "1 0 0 6 0");
        eq("setData: mzxid moves, czxid and pzxid do not",
            set.getMzxid() > st.getMzxid() && set.getCzxid() == st.getCzxid() && set.getPzxid() == st.getPzxid(), true);
        fails("setData: a wrong version", Code.BADVERSION, () -> zk.setData("/a", null, 0));
        fails("setData: no node", Code.NONODE, () -> zk.setData("/none", null, -1));
        zk.create("/null", null, OPEN, PERSISTENT);
        eq("null is not empty", zk.getData("/null", false, null), null);
        zk.setData("/null", new byte[0], -1);
        eq("empty is not null", zk.getData("/null", false, null).length, 0);
        zk.create("/a/kid", null, OPEN, PERSISTENT);
        eq("getChildren", zk.getChildren("/a", false, got), "[kid]");
        eq("getChildren2: the Stat", versions(got), "1 1 0 6 1");
        eq("getAllChildrenNumber", zk.getAllChildrenNumber("/"), 3);
        fails("delete: not empty", Code.NOTEMPTY, () -> zk.delete("/a", -1));
        fails("delete: a wrong version", Code.BADVERSION, () -> zk.delete("/a/kid", 5));
        zk.delete("/a/kid", 0);
        fails("delete: no node", Code.NONODE, () -> zk.delete("/a/kid", -1));
        eq("a delete counts at the parent", versions(zk.exists("/a", false)), "1 2 0 6 0");
        eq("create: a container", zk.create("/box", null, OPEN, CONTAINER), "/box");
        sync(bare);
        eq("the other server has it", new String(bare.getData(root + "/a", false, null)), "second");
        zk.close();
    }

    void sequences() throws Exception {
        ZooKeeper zk = dial(new Events());
        zk.create("/q", null, OPEN, PERSISTENT);
        eq("sequential: the first", zk.create("/q/s-", null, OPEN, PERSISTENT_SEQUENTIAL), "/q/s-0000000000");
        zk.create("/q/plain", null, OPEN, PERSISTENT);
        eq("sequential: every create counts", zk.create("/q/s-", null, OPEN, PERSISTENT_SEQUENTIAL), "/q/s-0000000002");
        zk.delete("/q/s-0000000002", -1);
        eq("sequential: not set back by a delete", zk.create("/q/", null, OPEN, EPHEMERAL_SEQUENTIAL), "/q/0000000003");
        eq("ephemeral: its owner", zk.exists("/q/0000000003", false).getEphemeralOwner(), zk.getSessionId());
        zk.create("/q/e", null, OPEN, EPHEMERAL);
        fails("ephemeral: no children", Code.NOCHILDRENFOREPHEMERALS, () -> zk.create("/q/e/kid", null, OPEN, PERSISTENT));
        eq("getEphemerals: their number", zk.getEphemerals().size(), 2); // ZooKeeper's client mixes up their chroots
        zk.close();
        sync(bare);
        eq("close: ephemerals go with the session", new TreeSet<>(bare.getChildren(root + "/q", false)), "[plain, s-0000000000]");
    }

    void multis() throws Exception {
        ZooKeeper zk = dial(new Events());
        List<OpResult> r = zk.multi(Arrays.asList(Op.create("/m", null, OPEN, PERSISTENT), Op.create("/m/s-", null, OPEN, PERSISTENT_SEQUENTIAL),
            Op.setData("/m", bytes("x"), 0), Op.check("/m", 1), Op.delete("/m/s-0000000000", 0)));
        eq("multi: paths of creates", ((OpResult.CreateResult) r.get(0)).getPath() + " " + ((OpResult.CreateResult) r.get(1)).getPath(),
            root + "/m " + root + "/m/s-0000000000"); // ZooKeeper's client does not take the chroot away
        eq("multi: Stat of setData", ((OpResult.SetDataResult) r.get(2)).getStat().getVersion(), 1);
        Stat st = zk.exists("/m", false);
        eq("multi: one zxid", st.getMzxid() == st.getCzxid() && st.getPzxid() == st.getCzxid(), true);
        try {
            zk.multi(Arrays.asList(Op.create("/m/kid", null, OPEN, PERSISTENT), Op.check("/m", 7), Op.delete("/m", -1)));
            eq("multi: fails", "no error", Code.BADVERSION);
        } catch (KeeperException e) {
            eq("multi: fails", e.code(), Code.BADVERSION);
            List<Object> errs = new ArrayList<>();
            for (OpResult one : e.getResults()) {
                errs.add(((OpResult.ErrorResult) one).getErr());
            }
            eq("multi: who is to blame", errs, "[0, -103, -2]");
        }
        eq("multi: nothing happened", zk.exists("/m", false), st);
        r = zk.multi(Arrays.asList(Op.getData("/m"), Op.getChildren("/"), Op.getData("/none")));
        eq("multiRead: data", new String(((OpResult.GetDataResult) r.get(0)).getData()), "x");
        eq("multiRead: children", ((OpResult.GetChildrenResult) r.get(1)).getChildren().contains("m"), true);
        eq("multiRead: an error of one", ((OpResult.ErrorResult) r.get(2)).getErr(), Code.NONODE.intValue());
        zk.close();
    }

    void acls() throws Exception {
        ZooKeeper zk = dial(new Events());
        zk.create("/acl", null, OPEN, PERSISTENT);
        Stat st = new Stat();
        eq("getACL: open", zk.getACL("/acl", st), OPEN);
        List<ACL> read = Arrays.asList(new ACL(ZooDefs.Perms.READ | ZooDefs.Perms.ADMIN, ZooDefs.Ids.ANYONE_ID_UNSAFE));
        eq("setACL: the Stat", versions(zk.setACL("/acl", read, 0)), "0 0 1 0 0");
        eq("getACL: read back", zk.getACL("/acl", st), read);
        fails("setACL: a wrong version", Code.BADVERSION, () -> zk.setACL("/acl", OPEN, 0));
        fails("setData: not allowed", Code.NOAUTH, () -> zk.setData("/acl", null, -1));
        fails("create: not allowed", Code.NOAUTH, () -> zk.create("/acl/kid", null, OPEN, PERSISTENT));
        fails("setACL: an unknown scheme", Code.INVALIDACL, () -> zk.setACL("/acl", Arrays.asList(new ACL(31, new Id("moon", "x"))), -1));
        zk.addAuthInfo("digest", bytes("u:p"));
        zk.create("/mine", bytes("secret"), ZooDefs.Ids.CREATOR_ALL_ACL, PERSISTENT);
        eq("auth: stored as the digest", zk.getACL("/mine", st).get(0).getId(), new Id("digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="));
        eq("whoAmI", zk.whoAmI().stream().anyMatch(i -> i.getAuthScheme().equals("digest") && i.getUser().equals("u")), true);
        eq("auth: the owner reads", new String(zk.getData("/mine", false, null)), "secret");
        sync(bare);
        fails("auth: a stranger does not", Code.NOAUTH, () -> bare.getData(root + "/mine", false, null));
        zk.close();
        Events events = new Events();
        ZooKeeper liar = dial(events);
        liar.addAuthInfo("moon", bytes("x"));
        eq("auth: an unknown scheme ends the client", events.until("AuthFailed"), "AuthFailed");
        liar.close();
    }

    void watches() throws Exception {
        Events none = new Events(), w = new Events();
        ZooKeeper zk = dial(none);
        zk.create("/w", null, OPEN, PERSISTENT);
        sync(bare);
        zk.getData("/w", w, null);
        bare.setData(root + "/w", bytes("x"), -1);
        eq("watch: data", w.next(), "NodeDataChanged /w");
        bare.setData(root + "/w", bytes("y"), -1);
        zk.exists("/w/kid", w);
        zk.getChildren("/w", w);
        bare.create(root + "/w/kid", null, OPEN, PERSISTENT);
        eq("watch: fires once; created", w.next(), "NodeCreated /w/kid");
        eq("watch: children", w.next(), "NodeChildrenChanged /w");
        zk.getData("/w/kid", w, null);
        zk.getChildren("/w/kid", w);
        zk.getChildren("/w", w);
        bare.delete(root + "/w/kid", -1);
        eq("watch: deleted, once for a watcher", w.next() + ", " + w.next(), "NodeDeleted /w/kid, NodeChildrenChanged /w");
        zk.exists("/own", w);
        zk.create("/own", null, OPEN, PERSISTENT);
        eq("watch: the event is before the reply of an own write", w.all.size() > 0 || w.next().equals("NodeCreated /own"), true);
        w.all.clear();
        zk.getData("/w", w, null);
        zk.removeWatches("/w", w, Watcher.WatcherType.Data, false);
        eq("removeWatches: the event", w.next(), "DataWatchRemoved /w");
        fails("removeWatches: none", Code.NOWATCHER, () -> zk.removeWatches("/w", w, Watcher.WatcherType.Data, false));
        zk.addWatch("/w", w, AddWatchMode.PERSISTENT_RECURSIVE);
        bare.create(root + "/w/deep", null, OPEN, PERSISTENT);
        bare.create(root + "/w/deep/er", null, OPEN, PERSISTENT);
        bare.setData(root + "/w", null, -1);
        eq("addWatch: recursive", w.next() + ", " + w.next() + ", " + w.next(), "NodeCreated /w/deep, NodeCreated /w/deep/er, NodeDataChanged /w");
        zk.removeWatches("/w", w, Watcher.WatcherType.Any, false);
        eq("removeWatches: recursive", w.next(), "PersistentWatchRemoved /w");
        zk.addWatch("/own", w, AddWatchMode.PERSISTENT);
        for (int i = 0; i < 2; i++) {
            bare.setData(root + "/own", null, -1);
        }
        eq("addWatch: persistent", w.next() + ", " + w.next(), "NodeDataChanged /own, NodeDataChanged /own");
        eq("no event went astray", none.all.isEmpty(), true);
        zk.close();
    }

    void order() throws Exception {
        ZooKeeper zk = dial(new Events());
        BlockingQueue<String> done = new LinkedBlockingQueue<>();
        zk.create("/n", null, OPEN, PERSISTENT);
        for (int i = 0; i < 100; i++) {
            zk.setData("/n", null, i, (rc, path, ctx, st) -> done.add(rc + " " + st.getVersion()), null);
        }
        boolean inOrder = true;
        for (int i = 1; i <= 100; i++) {
            inOrder &= ("0 " + i).equals(done.poll(WAIT, TimeUnit.SECONDS));
        }
        eq("async: a hundred writes under way, answered in order", inOrder, true);
        zk.create("/n/kid", null, OPEN, PERSISTENT, (rc, path, ctx, name) -> done.add("create " + rc), null);
        zk.getData("/n/kid", false, (rc, path, ctx, data, st) -> done.add("get " + rc), null);
        zk.delete("/n/kid", -1, (rc, path, ctx) -> done.add("delete " + rc), null);
        zk.exists("/n/kid", false, (rc, path, ctx, st) -> done.add("exists " + rc), null);
        eq("async: a read sees the writes before it, and none after",
            done.poll(WAIT, TimeUnit.SECONDS) + ", " + done.poll(WAIT, TimeUnit.SECONDS) + ", " + done.poll(WAIT, TimeUnit.SECONDS) + ", "
                + done.poll(WAIT, TimeUnit.SECONDS), "create 0, get 0, delete 0, exists -101");
        zk.close();
    }

    void sessions() throws Exception {
        Proxy proxy = new Proxy(addr);
        Events events = new Events(), w = new Events();
        ZooKeeper zk = dial(proxy.addr() + root, events);
        eq("session: an id, a password, the timeout", zk.getSessionId() != 0 && zk.getSessionPasswd().length == 16 && zk.getSessionTimeout() == timeout, true);
        zk.addAuthInfo("digest", bytes("u:p"));
        zk.create("/kept", null, OPEN, EPHEMERAL);
        zk.create("/changed", null, OPEN, PERSISTENT);
        zk.create("/doomed", null, OPEN, PERSISTENT);
        sync(bare);
        zk.getData("/changed", w, null);
        zk.exists("/coming", w);
        zk.exists("/doomed", w);
        zk.addWatch("/changed", new Events(), AddWatchMode.PERSISTENT);
        long id = zk.getSessionId();
        proxy.cut("");
        eq("cut: the client is told", events.next(), "Disconnected");
        bare.setData(root + "/changed", null, -1);
        bare.create(root + "/coming", null, OPEN, PERSISTENT);
        bare.delete(root + "/doomed", -1);
        proxy.cut(other);
        eq("cut: it comes back, to the other server", events.until("SyncConnected"), "SyncConnected");
        w.all.removeIf(e -> !e.contains(" /")); // states reach every watcher
        TreeSet<String> seen = new TreeSet<>();
        while (seen.size() < 3) {
            String e = w.next();
            if (e.contains(" /") || e.equals("no event")) {
                seen.add(e);
            }
        }
        eq("setWatches: what changed meanwhile", seen, "[NodeCreated /coming, NodeDataChanged /changed, NodeDeleted /doomed]");
        eq("session: the same, with its ephemeral", zk.getSessionId() == id && zk.exists("/kept", false).getEphemeralOwner() == id, true);
        eq("session: authenticated again", zk.whoAmI().stream().anyMatch(i -> i.getUser().equals("u")), true);
        ZooKeeper thief = new ZooKeeper(addr + root, timeout, new Events(), id, zk.getSessionPasswd());
        eq("session: taken over by its password", thief.exists("/kept", false).getEphemeralOwner() == id && thief.getSessionId() == id, true);
        proxy.cut("");
        thief.close();
        sync(bare);
        eq("session: its end deletes the ephemeral", bare.exists(root + "/kept", false), null);
        proxy.cut(addr);
        eq("session: who comes back too late is told", events.until("Expired"), "Expired");
        fails("session: and can do no more", Code.SESSIONEXPIRED, () -> zk.exists("/", false));
        Events w2 = new Events();
        ZooKeeper quiet = dial(proxy.addr() + root, new Events());
        quiet.create("/fading", null, OPEN, EPHEMERAL);
        sync(bare);
        bare.exists(root + "/fading", w2);
        proxy.cut("");
        eq("session: expires when it is not heard", w2.next(), "NodeDeleted " + root + "/fading");
    }

    public static void main(String[] args) throws Exception {
        ZooKeeperChecks c = new ZooKeeperChecks(args);
        c.group("nodes", c::nodes);
        c.group("sequences", c::sequences);
        c.group("multis", c::multis);
        c.group("acls", c::acls);
        c.group("watches", c::watches);
        c.group("order", c::order);
        c.group("sessions", c::sessions);
        c.end();
    }
}

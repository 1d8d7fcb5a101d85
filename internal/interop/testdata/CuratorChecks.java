import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.Stat;

/** Checks a ZooKeeper server through Curator: see Checks. */
public class CuratorChecks extends Checks {
    final String root = "interop-curator-" + UUID.randomUUID();
    final CuratorFramework a, b; // the second through the other server

    CuratorChecks(String[] args) throws Exception {
        super("Curator", version(), args);
        a = dial(addr);
        b = dial(other);
        a.create().orSetData().forPath("/", null);
        b.sync().forPath("/");
    }

    /** The name of the jar tells it, with Debian that of a link to it. */
    static String version() throws Exception {
        Path jar = Paths.get(CuratorFramework.class.getProtectionDomain().getCodeSource().getLocation().toURI());
        for (String name : jar.getParent().toFile().list()) {
            if (name.matches("curator-framework-[0-9.]+\\.jar")) {
                return name.replaceAll(".*-|\\.jar", "");
            }
        }
        return "of unknown version";
    }

    CuratorFramework dial(String at) throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.builder().connectString(at).namespace(root).sessionTimeoutMs(timeout)
            .connectionTimeoutMs(10_000).retryPolicy(new RetryNTimes(10, 200)).authorization("digest", "u:p".getBytes()).build();
        c.start();
        if (!c.blockUntilConnected(WAIT, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not connected");
        }
        return c;
    }

    /** Waits until b's server has what a's has. */
    void sync() throws Exception {
        sync(b);
    }

    /** Waits until the client's server has what all have. */
    void sync(CuratorFramework client) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        client.sync().inBackground((c, e) -> done.countDown()).forPath("/");
        done.await(WAIT, TimeUnit.SECONDS);
    }

    void framework() throws Exception {
        eq("create: with its parents", a.create().creatingParentsIfNeeded().forPath("/x/y/z", "one".getBytes()), "/x/y/z");
        Stat st = new Stat();
        eq("getData", new String(a.getData().storingStatIn(st).forPath("/x/y/z")), "one");
        eq("getData: the Stat", versions(st), "0 0 0 3 0");
        fails("create: exists", Code.NODEEXISTS, () -> a.create().forPath("/x"));
        fails("create: no parent", Code.NONODE, () -> a.create().forPath("/gap/x"));
        eq("create: or set", a.create().orSetData().forPath("/x/y/z", "two".getBytes()), "/x/y/z");
        eq("setData: the right version", a.setData().withVersion(1).forPath("/x/y/z", "three".getBytes()).getVersion(), 2);
        fails("setData: a wrong version", Code.BADVERSION, () -> a.setData().withVersion(1).forPath("/x/y/z", null));
        eq("getChildren", a.getChildren().storingStatIn(st).forPath("/x"), "[y]");
        eq("checkExists: no node", a.checkExists().forPath("/none"), null);
        fails("delete: not empty", Code.NOTEMPTY, () -> a.delete().forPath("/x"));
        a.create().creatingParentContainersIfNeeded().withMode(CreateMode.EPHEMERAL).forPath("/box/e");
        eq("create: in a container, ephemeral", a.checkExists().forPath("/box/e").getEphemeralOwner(),
            a.getZookeeperClient().getZooKeeper().getSessionId());
        String name = a.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/box/p-");
        eq("create: protected", name.matches("/box/_c_[0-9a-f-]{36}-p-0000000001"), true);
        a.delete().guaranteed().deletingChildrenIfNeeded().forPath("/x");
        eq("delete: with its children", a.checkExists().forPath("/x"), null);
        List<CuratorTransactionResult> r = a.transaction().forOperations(a.transactionOp().create().forPath("/t", "t".getBytes()),
            a.transactionOp().setData().withVersion(0).forPath("/t", "tt".getBytes()), a.transactionOp().check().withVersion(1).forPath("/t"),
            a.transactionOp().create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/t/s-"));
        eq("transaction: all of it", r.get(1).getResultStat().getVersion() + " " + r.get(3).getResultPath(), "1 /t/s-0000000000");
        fails("transaction: or nothing", Code.BADVERSION, () -> a.transaction().forOperations(a.transactionOp().create().forPath("/t/no"),
            a.transactionOp().check().withVersion(9).forPath("/t")));
        eq("transaction: nothing it was", a.checkExists().forPath("/t/no"), null);
        a.create().withACL(ZooDefs.Ids.CREATOR_ALL_ACL).forPath("/mine", null);
        eq("acl: of its creator", a.getACL().forPath("/mine").get(0).getId().getScheme(), "digest");
        eq("setACL: the Stat", a.setACL().withVersion(0).withACL(ZooDefs.Ids.READ_ACL_UNSAFE).forPath("/mine").getAversion(), 1);
        fails("setACL: and now nobody may write", Code.NOAUTH, () -> b.setData().forPath("/mine", null));
        BlockingQueue<String> done = new LinkedBlockingQueue<>();
        for (int i = 0; i < 20; i++) {
            a.setData().inBackground((c, e) -> done.add(e.getResultCode() + " " + e.getStat().getVersion())).forPath("/t", null);
        }
        List<String> got = new ArrayList<>(), want = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            got.add(done.poll(WAIT, TimeUnit.SECONDS));
            want.add("0 " + (i + 2));
        }
        eq("background: twenty writes, in order", got, want);
    }

    void watches() throws Exception {
        Events w = new Events();
        a.create().forPath("/w");
        sync();
        b.getData().usingWatcher(w).forPath("/w");
        a.setData().forPath("/w", null);
        eq("watch: data", w.next(), "NodeDataChanged /w");
        b.checkExists().usingWatcher(w).forPath("/later");
        a.create().forPath("/later");
        eq("watch: created", w.next(), "NodeCreated /later");
        sync();
        b.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE).usingWatcher(w).forPath("/w");
        a.create().forPath("/w/kid");
        a.delete().forPath("/w/kid");
        eq("watch: recursive", w.next() + ", " + w.next(), "NodeCreated /w/kid, NodeDeleted /w/kid");
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CuratorCache cache = CuratorCache.build(b, "/w");
        cache.listenable().addListener(CuratorCacheListener.builder().forAll((type, old, data) ->
            seen.add(type + " " + (data == null ? old.getPath() : data.getPath()))).forInitialized(() -> seen.add("initialized")).build());
        cache.start();
        eq("CuratorCache: begins", seen.poll(WAIT, TimeUnit.SECONDS) + ", " + seen.poll(WAIT, TimeUnit.SECONDS), "NODE_CREATED /w, initialized");
        a.create().forPath("/w/leaf", "green".getBytes());
        eq("CuratorCache: follows a create", seen.poll(WAIT, TimeUnit.SECONDS), "NODE_CREATED /w/leaf");
        eq("CuratorCache: has the data", new String(cache.get("/w/leaf").get().getData()), "green");
        a.delete().forPath("/w/leaf");
        eq("CuratorCache: follows a delete", seen.poll(WAIT, TimeUnit.SECONDS), "NODE_DELETED /w/leaf");
        cache.close();
    }

    void locks() throws Exception {
        InterProcessMutex ma = new InterProcessMutex(a, "/mutex"), mb = new InterProcessMutex(b, "/mutex");
        ma.acquire();
        eq("mutex: one holds it", mb.acquire(100, TimeUnit.MILLISECONDS), false);
        eq("mutex: and may take it again", ma.acquire(100, TimeUnit.MILLISECONDS), true);
        sync(a); // who gave up did so at the other server
        eq("mutex: participants", ma.getParticipantNodes().size(), 1);
        ma.release();
        ma.release();
        eq("mutex: then the other", mb.acquire(WAIT, TimeUnit.SECONDS), true);
        mb.release();
        InterProcessReadWriteLock ra = new InterProcessReadWriteLock(a, "/rw"), rb = new InterProcessReadWriteLock(b, "/rw");
        ra.readLock().acquire();
        eq("rwlock: readers share it", rb.readLock().acquire(WAIT, TimeUnit.SECONDS), true);
        rb.readLock().release();
        eq("rwlock: a writer waits", rb.writeLock().acquire(100, TimeUnit.MILLISECONDS), false);
        ra.readLock().release();
        eq("rwlock: until they are gone", rb.writeLock().acquire(WAIT, TimeUnit.SECONDS), true);
        eq("rwlock: and a reader waits for it", ra.readLock().acquire(100, TimeUnit.MILLISECONDS), false);
        rb.writeLock().release();
        InterProcessSemaphoreV2 sa = new InterProcessSemaphoreV2(a, "/sem", 2), sb = new InterProcessSemaphoreV2(b, "/sem", 2);
        Lease one = sa.acquire();
        eq("semaphore: two leases", sb.acquire(WAIT, TimeUnit.SECONDS) != null, true);
        eq("semaphore: no third", sb.acquire(100, TimeUnit.MILLISECONDS), null);
        sa.returnLease(one);
        eq("semaphore: until one is returned", sb.acquire(WAIT, TimeUnit.SECONDS) != null, true);
    }

    void recipes() throws Exception {
        LeaderLatch la = new LeaderLatch(a, "/latch", "one"), lb = new LeaderLatch(b, "/latch", "two");
        la.start();
        eq("LeaderLatch: the first leads", la.await(WAIT, TimeUnit.SECONDS), true);
        lb.start();
        eq("LeaderLatch: the second waits", lb.await(100, TimeUnit.MILLISECONDS), false);
        eq("LeaderLatch: and knows the leader", lb.getLeader().getId(), "one");
        la.close();
        eq("LeaderLatch: and follows", lb.await(WAIT, TimeUnit.SECONDS), true);
        lb.close();
        new DistributedBarrier(a, "/barrier").setBarrier();
        sync();
        eq("DistributedBarrier: closed", new DistributedBarrier(b, "/barrier").waitOnBarrier(100, TimeUnit.MILLISECONDS), false);
        new DistributedBarrier(a, "/barrier").removeBarrier();
        eq("DistributedBarrier: open", new DistributedBarrier(b, "/barrier").waitOnBarrier(WAIT, TimeUnit.SECONDS), true);
        a.create().forPath("/double");
        BlockingQueue<Boolean> entered = new LinkedBlockingQueue<>();
        for (CuratorFramework c : List.of(a, b)) {
            new Thread(() -> {
                try {
                    DistributedDoubleBarrier d = new DistributedDoubleBarrier(c, "/double", 2);
                    entered.add(d.enter(WAIT, TimeUnit.SECONDS));
                    entered.add(d.leave(WAIT, TimeUnit.SECONDS));
                } catch (Exception e) {
                    e.printStackTrace();
                    entered.add(false);
                }
            }).start();
        }
        boolean all = true;
        for (int i = 0; i < 4; i++) {
            all &= Boolean.TRUE.equals(entered.poll(2 * WAIT, TimeUnit.SECONDS));
        }
        eq("DistributedDoubleBarrier: two enter and leave", all, true);
        SharedCount count = new SharedCount(a, "/count", 5);
        count.start();
        eq("SharedCount: by version", count.trySetCount(count.getVersionedValue(), 6), true);
        sync();
        SharedCount second = new SharedCount(b, "/count", 0);
        second.start();
        eq("SharedCount: the other reads it", second.getCount(), 6);
        SharedValue value = new SharedValue(b, "/value", "first".getBytes());
        value.start();
        value.setValue("second".getBytes());
        eq("SharedValue: in its node", new String(b.getData().forPath("/value")), "second");
        DistributedAtomicLong atomic = new DistributedAtomicLong(a, "/atomic", new RetryNTimes(5, 50));
        atomic.add(40L);
        eq("DistributedAtomicLong: adds", atomic.add(2L).postValue(), 42);
        GroupMember one = new GroupMember(a, "/group", "one"), two = new GroupMember(b, "/group", "two");
        one.start();
        two.start();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT);
        while (one.getCurrentMembers().size() < 2 && System.nanoTime() < end) {
            Thread.sleep(10);
        }
        eq("GroupMember: both are there", new TreeSet<>(one.getCurrentMembers().keySet()), "[one, two]");
        one.close();
        two.close();
        SimpleDistributedQueue queue = new SimpleDistributedQueue(a, "/queue");
        queue.offer("1".getBytes());
        queue.offer("2".getBytes());
        eq("SimpleDistributedQueue: in order", new String(queue.take()) + new String(queue.take()), "12");
    }

    void connections() throws Exception {
        Proxy proxy = new Proxy(addr);
        CuratorFramework c = dial(proxy.addr());
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        c.getConnectionStateListenable().addListener((client, state) -> {
            if (state != ConnectionState.CONNECTED) { // which may be late
                states.add(state);
            }
        });
        c.create().withMode(CreateMode.EPHEMERAL).forPath("/mayfly");
        PersistentNode kept = new PersistentNode(c, CreateMode.EPHEMERAL, false, "/kept", "x".getBytes());
        kept.start();
        eq("PersistentNode: is there", kept.waitForInitialCreate(WAIT, TimeUnit.SECONDS), true);
        long id = c.getZookeeperClient().getZooKeeper().getSessionId();
        proxy.cut(other);
        eq("cut: suspended, then reconnected", states.poll(WAIT, TimeUnit.SECONDS) + ", " + states.poll(WAIT, TimeUnit.SECONDS), "SUSPENDED, RECONNECTED");
        eq("cut: the same session, through the other server", c.getZookeeperClient().getZooKeeper().getSessionId() == id
            && c.checkExists().forPath("/mayfly").getEphemeralOwner() == id, true);
        Events w = new Events();
        sync();
        b.checkExists().usingWatcher(w).forPath("/mayfly");
        proxy.cut("");
        eq("expiry: the ephemeral is deleted", w.next(), "NodeDeleted /mayfly");
        proxy.cut(addr);
        ConnectionState s = states.poll(WAIT, TimeUnit.SECONDS);
        List<ConnectionState> seen = new ArrayList<>();
        while (s != null && s != ConnectionState.RECONNECTED) {
            seen.add(s);
            s = states.poll(WAIT, TimeUnit.SECONDS);
        }
        eq("expiry: lost, then reconnected", seen + ", " + s, "[SUSPENDED, LOST], RECONNECTED");
        eq("expiry: a new session", c.getZookeeperClient().getZooKeeper().getSessionId() != id, true);
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT);
        Stat st = null;
        while ((st == null || st.getEphemeralOwner() == id) && System.nanoTime() < end) {
            Thread.sleep(20);
            st = c.checkExists().forPath("/kept");
        }
        eq("PersistentNode: is there again", st != null && st.getEphemeralOwner() == c.getZookeeperClient().getZooKeeper().getSessionId(), true);
    }

    public static void main(String[] args) throws Exception {
        CuratorChecks c = new CuratorChecks(args);
        c.group("framework", c::framework);
        c.group("watches", c::watches);
        c.group("locks", c::locks);
        c.group("recipes", c::recipes);
        c.group("connections", c::connections);
        c.end();
    }
}

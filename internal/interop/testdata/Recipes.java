import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;

/** Recipes of Curator, by orders on the standard input: VERB ADDR PATH ARGUMENTS, each answered by "done ANSWER". */
public class Recipes {
    static final Map<String, CuratorFramework> clients = new ConcurrentHashMap<>();
    static final List<AutoCloseable> held = new ArrayList<>();

    /**
     * A client whose listeners have been told that it is connected. Curator's discovery registers again when it is told so: it
     * deletes the instance and makes it anew, and who looks in between does not find it.
     */
    static CuratorFramework client(String addr) {
        return clients.computeIfAbsent(addr, a -> {
            CuratorFramework c = CuratorFrameworkFactory.newClient(a, 10000, 10000, new RetryNTimes(5, 200));
            CountDownLatch told = new CountDownLatch(1);
            c.getConnectionStateListenable().addListener((client, state) -> told.countDown());
            c.start();
            try {
                if (!told.await(20, TimeUnit.SECONDS)) {
                    throw new IllegalStateException(a + " is not reached");
                }
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            return c;
        });
    }

    @SuppressWarnings("rawtypes")
    static ServiceDiscovery<Map> discovery(String addr, String base) throws Exception {
        ServiceDiscovery<Map> d = ServiceDiscoveryBuilder.builder(Map.class).client(client(addr)).basePath(base).build();
        d.start();
        return d;
    }

    @SuppressWarnings("rawtypes")
    static String run(String[] a) throws Exception {
        CuratorFramework c = client(a[1]);
        String path = a[2];
        switch (a[0]) {
        case "register": { // NAME ID HOST PORT
            ServiceDiscovery<Map> d = discovery(a[1], path);
            d.registerService(ServiceInstance.<Map>builder().name(a[3]).id(a[4]).address(a[5]).port(Integer.parseInt(a[6])).build());
            held.add(d);
            return "";
        }
        case "discover": { // NAME
            TreeSet<String> found = new TreeSet<>();
            try (ServiceDiscovery<Map> d = discovery(a[1], path)) {
                for (ServiceInstance<Map> i : d.queryForInstances(a[3])) {
                    Object flavor = i.getPayload() == null ? null : i.getPayload().get("flavor");
                    found.add(i.getId() + "=" + i.getAddress() + ":" + i.getPort() + "/" + flavor + "/" + i.isEnabled());
                }
            }
            return String.join(" ", found);
        }
        case "count": { // DELTA: adds so much to a SharedCount
            SharedCount n = new SharedCount(c, path, 0);
            n.start();
            try {
                while (!n.trySetCount(n.getVersionedValue(), n.getCount() + Integer.parseInt(a[3]))) {
                }
                return "" + n.getCount();
            } finally {
                n.close();
            }
        }
        case "atomic": { // DELTA: adds so much to a DistributedAtomicLong
            var v = new DistributedAtomicLong(c, path, new RetryNTimes(20, 10)).add(Long.parseLong(a[3]));
            return v.succeeded() ? "" + v.postValue() : "failed";
        }
        case "atomicint": { // DELTA: adds so much to a DistributedAtomicInteger
            var v = new DistributedAtomicInteger(c, path, new RetryNTimes(20, 10)).add(Integer.parseInt(a[3]));
            return v.succeeded() ? "" + v.postValue() : "failed";
        }
        case "close":
            new DistributedBarrier(c, path).setBarrier();
            return "";
        case "open":
            new DistributedBarrier(c, path).removeBarrier();
            return "";
        case "wait": // MILLISECONDS
            return "" + new DistributedBarrier(c, path).waitOnBarrier(Long.parseLong(a[3]), TimeUnit.MILLISECONDS);
        case "join": { // ID
            GroupMember m = new GroupMember(c, path, a[3], "hello".getBytes());
            m.start();
            held.add(m::close);
            return "";
        }
        case "members": // what the member that joined last sees, once it sees so many; MEMBERS, ID
            try (GroupMember m = new GroupMember(c, path, a[4])) {
                m.start();
                for (int i = 0; i < 500 && m.getCurrentMembers().size() < Integer.parseInt(a[3]); i++) {
                    Thread.sleep(20);
                }
                return String.join(" ", new TreeSet<>(m.getCurrentMembers().keySet()));
            }
        case "latch": { // ID, MILLISECONDS: whether it leads by then; it goes on until it leaves
            LeaderLatch l = new LeaderLatch(c, path, a[3]);
            held.add(l);
            l.start();
            return "" + l.await(Long.parseLong(a[4]), TimeUnit.MILLISECONDS);
        }
        case "select": { // the same as a LeaderSelector
            CountDownLatch leads = new CountDownLatch(1), leave = new CountDownLatch(1);
            LeaderSelector l = new LeaderSelector(c, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework c) throws Exception {
                    leads.countDown();
                    leave.await();
                }
            });
            l.setId(a[3]);
            held.add(() -> {
                leave.countDown();
                l.close();
            });
            l.start();
            return "" + leads.await(Long.parseLong(a[4]), TimeUnit.MILLISECONDS);
        }
        case "read": // MILLISECONDS: whether it has the lock by then, until it leaves
        case "write": {
            InterProcessReadWriteLock both = new InterProcessReadWriteLock(c, path);
            InterProcessMutex l = a[0].equals("read") ? both.readLock() : both.writeLock();
            boolean got = l.acquire(Long.parseLong(a[3]), TimeUnit.MILLISECONDS);
            if (got) {
                held.add(l::release);
            }
            return "" + got;
        }
        case "lease": { // PERMITS, MILLISECONDS: the same of a semaphore
            InterProcessSemaphoreV2 s = new InterProcessSemaphoreV2(c, path, Integer.parseInt(a[3]));
            Lease l = s.acquire(Long.parseLong(a[4]), TimeUnit.MILLISECONDS);
            if (l != null) {
                held.add(() -> s.returnLease(l));
            }
            return "" + (l != null);
        }
        case "single": { // MILLISECONDS: the same of an InterProcessSemaphoreMutex
            InterProcessSemaphoreMutex m = new InterProcessSemaphoreMutex(c, path);
            boolean got = m.acquire(Long.parseLong(a[3]), TimeUnit.MILLISECONDS);
            if (got) {
                held.add(m::release);
            }
            return "" + got;
        }
        case "value": // NEW: sets a SharedValue
        case "valueof":
            try (SharedValue v = new SharedValue(c, path, new byte[0])) {
                v.start();
                if (a[0].equals("value")) {
                    v.setValue(a[3].getBytes());
                }
                return new String(v.getValue());
            }
        case "latched": // what the leader's node says, as a LeaderLatch or LeaderSelector sees it
            return new LeaderLatch(c, path).getLeader().getId();
        case "selected":
            return new LeaderSelector(c, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework c) {
                }
            }).getLeader().getId();
        case "leave":
            for (AutoCloseable h : held) {
                h.close();
            }
            held.clear();
            return "";
        }
        throw new IllegalArgumentException(a[0]);
    }

    public static void main(String[] args) throws Exception {
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println("done " + run(line.trim().split(" +")));
        }
    }
}

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;

/** Takes turns under Curator's InterProcessMutex, or as the leader of its LeaderLatch or LeaderSelector, at the orders of a test: see internal/interop/contend. */
public class Contend {
    public static void main(String[] args) throws Exception {
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] word = line.split(" ");
            if (word[0].equals("turns")) {
                turns(word[1], word[2], Paths.get(word[3]), Integer.parseInt(word[4]));
                System.out.println("done");
            } else if (word[0].equals("terms")) {
                terms(word[1], word[2], Paths.get(word[3]), Integer.parseInt(word[4]), word[5]);
                System.out.println("done");
            } else {
                bench(word[1], word[2], Integer.parseInt(word[3]), Long.parseLong(word[4]) * 1_000_000);
            }
        }
        System.exit(0);
    }

    static CuratorFramework dial(String addr) throws Exception {
        CuratorFramework c = CuratorFrameworkFactory.newClient(addr, 20_000, 15_000, new RetryNTimes(5, 100));
        c.start();
        c.blockUntilConnected();
        return c;
    }

    static void turns(String addr, String path, Path counter, int n) throws Exception {
        try (CuratorFramework c = dial(addr)) {
            InterProcessMutex lock = new InterProcessMutex(c, path);
            for (int i = 0; i < n; i++) {
                lock.acquire();
                addOne(counter);
                lock.release();
            }
        }
    }

    static void terms(String addr, String path, Path counter, int n, String layout) throws Exception {
        try (CuratorFramework c = dial(addr)) {
            if (layout.equals("latch")) {
                for (int i = 0; i < n; i++) {
                    try (LeaderLatch latch = new LeaderLatch(c, path, "curator")) {
                        latch.start();
                        latch.await();
                        addOne(counter);
                    }
                }
                return;
            }
            CountDownLatch left = new CountDownLatch(n);
            try (LeaderSelector selector = new LeaderSelector(c, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework c) throws Exception {
                    if (left.getCount() > 0) {
                        try {
                            addOne(counter);
                        } catch (Exception e) { // the selector swallows it
                            e.printStackTrace();
                            System.exit(1);
                        }
                    }
                    left.countDown();
                }
            })) {
                selector.autoRequeue();
                selector.start();
                left.await();
            }
        }
    }

    static void addOne(Path counter) throws Exception {
        Path inside = Paths.get(counter + ".inside");
        Files.createFile(inside); // fails if it is there: two inside
        int n = Integer.parseInt(new String(Files.readAllBytes(counter)));
        Thread.sleep(1);
        Files.write(counter, Integer.toString(n + 1).getBytes());
        Files.delete(inside);
    }

    static void bench(String addr, String path, int n, long nanos) throws Exception {
        List<CuratorFramework> clients = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            clients.add(dial(addr));
        }
        AtomicLong entered = new AtomicLong();
        List<Thread> threads = new ArrayList<>();
        long began = System.nanoTime();
        for (int i = 0; i < n; i++) {
            CuratorFramework c = clients.get(i);
            String own = path.replace("%d", Integer.toString(i));
            Thread t = new Thread(() -> {
                InterProcessMutex lock = new InterProcessMutex(c, own);
                try {
                    while (System.nanoTime() - began < nanos) {
                        lock.acquire();
                        entered.incrementAndGet();
                        lock.release();
                    }
                } catch (Exception e) {
                    e.printStackTrace();
                    System.exit(1);
                }
            });
            threads.add(t);
            t.start();
        }
        for (Thread t : threads) {
            t.join();
        }
        System.out.println("done " + entered + " " + (System.nanoTime() - began));
        for (CuratorFramework c : clients) {
            c.close();
        }
    }
}

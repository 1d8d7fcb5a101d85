import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryNTimes;

/** Takes turns under Curator's InterProcessMutex, at the orders of a test: see internal/interop/contend. */
public class Contend {
    public static void main(String[] args) throws Exception {
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] word = line.split(" ");
            if (word[0].equals("turns")) {
                turns(word[1], word[2], Paths.get(word[3]), Integer.parseInt(word[4]));
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
        for (CuratorFramework c : clients) {
            Thread t = new Thread(() -> {
                InterProcessMutex lock = new InterProcessMutex(c, path);
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

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.data.Stat;

/** What the checks of Java clients have in common: they are told a server by --addr and another of its ensemble by --other. */
abstract class Checks {
    static final int WAIT = 20; // seconds until something that should happen counts as missing

    interface Group {
        void run() throws Exception;
    }

    final Set<String> names = new HashSet<>();
    final String addr, other;
    final int timeout;
    int failed;

    Checks(String client, String version, String[] args) {
        System.out.println("client " + client + " " + version);
        addr = args[1];
        other = args[3];
        timeout = Integer.parseInt(args[5]);
    }

    void eq(String name, Object got, Object want) {
        if (!names.add(name)) {
            got = "name used twice";
        }
        if (String.valueOf(got).equals(String.valueOf(want))) {
            System.out.println("ok " + name);
        } else {
            failed++;
            System.out.println("FAIL " + name + ": got " + got + " want " + want);
        }
    }

    void fails(String name, KeeperException.Code want, Group f) {
        Object got = "no error";
        try {
            f.run();
        } catch (KeeperException e) {
            got = e.code();
        } catch (Exception e) {
            got = e;
        }
        eq(name, got, want);
    }

    /** Runs a group of checks; what it throws is a failure of the group, and the other groups still run. */
    void group(String name, Group g) {
        try {
            g.run();
        } catch (Exception e) {
            e.printStackTrace();
            eq(name + " runs to its end", e, null);
        }
    }

    void end() {
        System.out.println("checks " + names.size() + " failed " + failed);
        System.out.flush();
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1); // threads of a client that is closing have no more to say
    }

    static String versions(Stat st) {
        return st.getVersion() + " " + st.getCversion() + " " + st.getAversion() + " " + st.getDataLength() + " " + st.getNumChildren();
    }

    /** Keeps events, as "NodeCreated /path", or the state, as "SyncConnected", for an event of the session. */
    static class Events implements Watcher {
        final BlockingQueue<String> all = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent e) {
            all.add(e.getType() == Event.EventType.None ? e.getState().toString() : e.getType() + " " + e.getPath());
        }

        String next() throws InterruptedException {
            String e = all.poll(WAIT, TimeUnit.SECONDS);
            return e == null ? "no event" : e;
        }

        /** Passes over others until the event comes. */
        String until(String want) throws InterruptedException {
            String e = next();
            while (!e.equals(want) && !e.equals("no event")) {
                e = next();
            }
            return e;
        }
    }

    /** Passes connections on to a server, until told to cut them. */
    static class Proxy {
        private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        private final Set<Socket> open = ConcurrentHashMap.newKeySet();
        private volatile String target;

        Proxy(String target) throws IOException {
            this.target = target;
            start(() -> {
                while (true) {
                    Socket client = listener.accept();
                    start(() -> pass(client));
                }
            });
        }

        String addr() {
            return "127.0.0.1:" + listener.getLocalPort();
        }

        /** Closes every connection; new ones go to target, or are closed at once while it is empty. */
        void cut(String target) throws IOException {
            this.target = target;
            for (Socket s : open) {
                s.close();
            }
            open.clear();
        }

        private void pass(Socket client) throws IOException {
            String to = target;
            if (to.isEmpty()) {
                client.close();
                return;
            }
            Socket server = new Socket(to.split(":")[0], Integer.parseInt(to.split(":")[1]));
            client.setTcpNoDelay(true);
            server.setTcpNoDelay(true);
            open.add(client);
            open.add(server);
            start(() -> copy(client, server));
            copy(server, client);
        }

        private void copy(Socket from, Socket to) throws IOException {
            try {
                from.getInputStream().transferTo(to.getOutputStream());
            } finally {
                from.close();
                to.close();
            }
        }

        private static void start(Group g) {
            Thread t = new Thread(() -> {
                try {
                    g.run();
                } catch (Exception e) {
                    // the end of a connection, which is all that matters
                }
            });
            t.setDaemon(true);
            t.start();
        }
    }
}

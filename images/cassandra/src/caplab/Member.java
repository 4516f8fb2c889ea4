package caplab;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.cassandra.service.CassandraDaemon;

/**
 * A Cassandra member. Its management port is open from the beginning, and a member without data waits until it is told there how to start.
 * Only the lab's operator, which sees all members at once, can know which one bootstraps when, and which one replaces another.
 */
public final class Member {
    /** How a member starts. RESTARTED: with the data that it has. */
    enum BootstrapMode { FIRST, JOINING, REPLACING, RESTARTED }

    /** waiting, starting, running or failed: the words of the management port. */
    static volatile String stage = "waiting";
    static volatile String problem = "";
    static volatile BootstrapMode bootstrapMode = BootstrapMode.RESTARTED;

    private static final Path DATA = Path.of(System.getProperty("cassandra.storagedir"));
    /** Exists once this member has joined: until then, whatever is in its volume is left over from a failed attempt. */
    private static final Path JOINED = DATA.resolve("joined");
    private static final List<String> OF_CASSANDRA = List.of("data", "commitlog", "hints", "saved_caches", "cdc_raw");
    private static final CompletableFuture<String> bootstrapChoice = new CompletableFuture<>();

    private Member() {}

    public static void main(String[] arguments) throws Exception {
        boolean joined = Files.exists(JOINED);
        if (joined) stage = "starting";
        Management.serve();
        if (joined) {
            System.out.println("starting with the data of an earlier run");
        } else {
            removeLeftovers();
            System.out.println("no data of an earlier run: waiting to be told how to start");
            applyBootstrap(bootstrapChoice.get());
        }
        try {
            CassandraDaemon.main(arguments);
            Files.writeString(JOINED, "");
            stage = "running";
        } catch (Throwable error) {
            problem = String.valueOf(error);
            stage = "failed";
            error.printStackTrace();
            System.exit(3);
        }
    }

    static boolean isFresh() {
        return !Files.exists(JOINED);
    }

    /** Tells a waiting member how to start: 'first', 'joining', or the address of the dead member that it replaces; false if it is not waiting. */
    static synchronized boolean chooseBootstrap(String how) {
        if (!stage.equals("waiting")) return false;
        stage = "starting";
        return bootstrapChoice.complete(how);
    }

    /** Forgets that this member has joined, once it has left the ring for good: if it starts again, it is a new member. */
    static void forgetJoined() throws IOException {
        Files.deleteIfExists(JOINED);
    }

    private static void applyBootstrap(String how) {
        switch (how) {
            case "first" -> bootstrapMode = BootstrapMode.FIRST;
            case "joining" -> bootstrapMode = BootstrapMode.JOINING;
            default -> {
                bootstrapMode = BootstrapMode.REPLACING;
                System.setProperty("cassandra.replace_address_first_boot", how);
            }
        }
        System.out.println("told to start: " + how);
    }

    private static void removeLeftovers() throws IOException {
        for (String name : OF_CASSANDRA) {
            Path folder = DATA.resolve(name);
            if (Files.exists(folder)) remove(folder);
        }
    }

    private static void remove(Path folder) throws IOException {
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException error) throws IOException {
                if (error != null) throw error;
                Files.delete(directory);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}

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
 * A Cassandra member: its management port is open from the beginning, and a member without data waits there until it is told how to begin.
 * Who bootstraps when, and who takes whose place, only the lab's operator can know: it sees all members at once.
 */
public final class Member {
    /** How a member begins. RESTARTED: with the data it has. */
    enum BootstrapMode { FIRST, JOINING, REPLACING, RESTARTED }

    /** waiting, starting, running or failed: the words of the management port. */
    static volatile String stage = "waiting";
    static volatile String problem = "";
    static volatile BootstrapMode bootstrapMode = BootstrapMode.RESTARTED;

    private static final Path DATA = Path.of(System.getProperty("cassandra.storagedir"));
    /** There once this member has joined: until then whatever is in its volume is the rest of an attempt. */
    private static final Path JOINED = DATA.resolve("joined");
    private static final List<String> OF_CASSANDRA = List.of("data", "commitlog", "hints", "saved_caches", "cdc_raw");
    private static final CompletableFuture<String> bootstrapChoice = new CompletableFuture<>();

    private Member() {}

    public static void main(String[] arguments) throws Exception {
        boolean joined = Files.exists(JOINED);
        if (joined) stage = "starting";
        Management.serve();
        if (joined) {
            System.out.println("starting with the data of an earlier life");
        } else {
            removeLeftovers();
            System.out.println("no data of an earlier life: waiting to be told how to begin");
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

    /** Tell a waiting member how to begin: 'first', 'joining', or the address of the dead member whose place it takes. Whether it was waiting. */
    static synchronized boolean chooseBootstrap(String how) {
        if (!stage.equals("waiting")) return false;
        stage = "starting";
        return bootstrapChoice.complete(how);
    }

    /** It has left the ring for good: if it is started again, it begins as if it had never been there. */
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
        System.out.println("told to begin: " + how);
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

package caplab;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.cassandra.config.Config;
import org.apache.cassandra.config.Config.CommitLogSync;
import org.apache.cassandra.config.DatabaseDescriptor;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.gms.FailureDetector;
import org.apache.cassandra.hints.HintsService;
import org.apache.cassandra.schema.KeyspaceMetadata;
import org.apache.cassandra.schema.ReplicationParams;
import org.apache.cassandra.schema.Schema;
import org.apache.cassandra.service.StorageProxy;
import org.apache.cassandra.service.StorageService;

/** Reads the settings in force, by the lab's names, and sets those that can change while Cassandra runs. */
final class Settings {
    private static final List<String> OPTIONS = named(Path.of(URI.create(System.getProperty("cassandra.config"))));

    private Settings() {}

    static Map<String, Object> now() {
        Map<String, Object> settings = new LinkedHashMap<>();
        settings.put("phiConvictThreshold", ((FailureDetector) FailureDetector.instance).getPhiConvictThreshold());
        settings.put("hintedHandoffEnabled", DatabaseDescriptor.hintedHandoffEnabled());
        settings.put("hintWindowSeconds", DatabaseDescriptor.getMaxHintWindow() / 1000);
        settings.put("hintsPaused", HintsService.instance.isDispatchPaused());
        settings.put("hintsDisabledDatacenters", String.join(" ", new TreeSet<>(DatabaseDescriptor.hintedHandoffDisabledDCs())));
        settings.put("hintsFlushPeriodMilliseconds", DatabaseDescriptor.getHintsFlushPeriodInMS());
        settings.put("readMilliseconds", DatabaseDescriptor.getReadRpcTimeout(TimeUnit.MILLISECONDS));
        settings.put("writeMilliseconds", DatabaseDescriptor.getWriteRpcTimeout(TimeUnit.MILLISECONDS));
        settings.put("casMilliseconds", DatabaseDescriptor.getCasContentionTimeout(TimeUnit.MILLISECONDS));
        settings.put("paxosVariant", StorageProxy.instance.getPaxosVariant());
        settings.put("commitlogSync", DatabaseDescriptor.getCommitLogSync().name());
        settings.put("commitlogSyncPeriodMilliseconds", commitlogSyncPeriod());
        settings.put("ringDelayMilliseconds", StorageService.RING_DELAY_MILLIS);
        settings.put("numTokens", DatabaseDescriptor.getNumTokens());
        settings.put("replicationFactor", Integer.parseInt(System.getenv("REPLICATION_FACTOR")));
        settings.put("heapBytes", heapBytes());
        addKeyspace(settings, Schema.instance.getKeyspaceMetadata(Roles.KEYSPACE));
        return settings;
    }

    /** Reads the values in force of the options in this member's file: some can be changed by hand while Cassandra runs. */
    static Map<String, Object> options() {
        Map<String, Object> options = new TreeMap<>();
        for (String name : OPTIONS) {
            try {
                options.put(name, String.valueOf(Config.class.getField(name).get(DatabaseDescriptor.getRawConfig())));
            } catch (ReflectiveOperationException unknown) {
                // Cassandra would not have started with an unknown option.
            }
        }
        return options;
    }

    private static List<String> named(Path file) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.filter(line -> line.matches("[a-z_]+: .*")).map(line -> line.substring(0, line.indexOf(':'))).toList();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Adds the keyspace's settings, if it exists: it is created once the first member runs, and may be dropped. */
    private static void addKeyspace(Map<String, Object> settings, KeyspaceMetadata keyspace) {
        if (keyspace == null) return;
        ReplicationParams replication = keyspace.params.replication;
        settings.put("keyspaceReplication", replication.klass.getSimpleName() + " " + new TreeMap<>(replication.options));
        settings.put("keyspaceDurableWrites", keyspace.params.durableWrites);
    }

    /** Sets durable_writes, and flushes: writes that were made without it are in no commit log. */
    private static void setDurableWrites(boolean durable) throws Management.RequestRefused {
        KeyspaceMetadata keyspace = Schema.instance.getKeyspaceMetadata(Roles.KEYSPACE);
        if (keyspace == null) throw new Management.RequestRefused(409, "There is no keyspace " + Roles.KEYSPACE + ".");
        if (keyspace.params.durableWrites != durable)
            QueryProcessor.process(
                    String.format("ALTER KEYSPACE %s WITH durable_writes = %s", Roles.KEYSPACE, durable), ConsistencyLevel.ONE);
        try {
            StorageService.instance.forceKeyspaceFlush(Roles.KEYSPACE);
        } catch (IOException error) {
            throw new Management.RequestRefused(500, "The keyspace can't be flushed: " + error.getMessage() + ".");
        }
    }

    private static long commitlogSyncPeriod() {
        return DatabaseDescriptor.getCommitLogSync() == CommitLogSync.group
                ? DatabaseDescriptor.getCommitLogSyncGroupWindow()
                : DatabaseDescriptor.getCommitLogSyncPeriod();
    }

    /** Reads the heap size that the JVM was started with: its memory beans leave out a part that the collector keeps free. */
    private static long heapBytes() {
        HotSpotDiagnosticMXBean machine = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        return Long.parseLong(machine.getVMOption("MaxHeapSize").getValue());
    }

    private static void pauseHints(boolean paused) {
        if (paused) HintsService.instance.pauseDispatch();
        else HintsService.instance.resumeDispatch();
    }

    private static void disableHintsFor(Set<String> datacenters) {
        for (String datacenter : Set.copyOf(DatabaseDescriptor.hintedHandoffDisabledDCs()))
            if (!datacenters.contains(datacenter)) DatabaseDescriptor.enableHintsForDC(datacenter);
        datacenters.forEach(DatabaseDescriptor::disableHintsForDC);
    }

    static void set(String name, String value) throws Management.RequestRefused {
        try {
            switch (name) {
                case "phiConvictThreshold" ->
                    ((FailureDetector) FailureDetector.instance).setPhiConvictThreshold(Double.parseDouble(value));
                case "hintedHandoffEnabled" ->
                    StorageProxy.instance.setHintedHandoffEnabled(Boolean.parseBoolean(value));
                case "hintWindowSeconds" -> StorageProxy.instance.setMaxHintWindow(Integer.parseInt(value) * 1000);
                case "hintsPaused" -> pauseHints(Boolean.parseBoolean(value));
                case "hintsDisabledDatacenters" -> disableHintsFor(Set.of(value.isEmpty() ? new String[0] : value.split(" ")));
                case "keyspaceDurableWrites" -> setDurableWrites(Boolean.parseBoolean(value));
                case "readMilliseconds" -> StorageService.instance.setReadRpcTimeout(Long.parseLong(value));
                case "writeMilliseconds" -> StorageService.instance.setWriteRpcTimeout(Long.parseLong(value));
                case "casMilliseconds" -> StorageService.instance.setCasContentionTimeout(Long.parseLong(value));
                case "paxosVariant" -> StorageProxy.instance.setPaxosVariant(value);
                default -> throw new Management.RequestRefused(400, name + " is not a setting that can change while Cassandra runs.");
            }
        } catch (IllegalArgumentException error) {
            throw new Management.RequestRefused(400, name + " is '" + value + "': " + error.getMessage() + ".");
        }
    }
}

package caplab;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.cassandra.config.Config.CommitLogSync;
import org.apache.cassandra.config.DatabaseDescriptor;
import org.apache.cassandra.gms.FailureDetector;
import org.apache.cassandra.service.StorageProxy;
import org.apache.cassandra.service.StorageService;

/** The settings in force, by the lab's names for them, and those of them that can change while Cassandra runs. */
final class Settings {
    private Settings() {}

    static Map<String, Object> now() {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("phiConvictThreshold", ((FailureDetector) FailureDetector.instance).getPhiConvictThreshold());
        found.put("hintedHandoffEnabled", DatabaseDescriptor.hintedHandoffEnabled());
        found.put("hintWindowSeconds", DatabaseDescriptor.getMaxHintWindow() / 1000);
        found.put("hintsFlushPeriodMilliseconds", DatabaseDescriptor.getHintsFlushPeriodInMS());
        found.put("readMilliseconds", DatabaseDescriptor.getReadRpcTimeout(TimeUnit.MILLISECONDS));
        found.put("writeMilliseconds", DatabaseDescriptor.getWriteRpcTimeout(TimeUnit.MILLISECONDS));
        found.put("casMilliseconds", DatabaseDescriptor.getCasContentionTimeout(TimeUnit.MILLISECONDS));
        found.put("paxosVariant", StorageProxy.instance.getPaxosVariant());
        found.put("commitlogSync", DatabaseDescriptor.getCommitLogSync().name());
        found.put("commitlogSyncPeriodMilliseconds", commitlogSyncPeriod());
        found.put("ringDelayMilliseconds", StorageService.RING_DELAY_MILLIS);
        found.put("numTokens", DatabaseDescriptor.getNumTokens());
        found.put("replicationFactor", Integer.parseInt(System.getenv("REPLICATION_FACTOR")));
        found.put("heapBytes", heapBytes());
        return found;
    }

    private static long commitlogSyncPeriod() {
        return DatabaseDescriptor.getCommitLogSync() == CommitLogSync.group
                ? DatabaseDescriptor.getCommitLogSyncGroupWindow()
                : DatabaseDescriptor.getCommitLogSyncPeriod();
    }

    /** As the JVM was told: what it says of its memory leaves out a part that its collector keeps free. */
    private static long heapBytes() {
        HotSpotDiagnosticMXBean machine = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        return Long.parseLong(machine.getVMOption("MaxHeapSize").getValue());
    }

    static void set(String name, String value) throws Management.Refused {
        try {
            switch (name) {
                case "phiConvictThreshold" ->
                    ((FailureDetector) FailureDetector.instance).setPhiConvictThreshold(Double.parseDouble(value));
                case "hintedHandoffEnabled" ->
                    StorageProxy.instance.setHintedHandoffEnabled(Boolean.parseBoolean(value));
                case "hintWindowSeconds" -> StorageProxy.instance.setMaxHintWindow(Integer.parseInt(value) * 1000);
                case "readMilliseconds" -> StorageService.instance.setReadRpcTimeout(Long.parseLong(value));
                case "writeMilliseconds" -> StorageService.instance.setWriteRpcTimeout(Long.parseLong(value));
                case "casMilliseconds" -> StorageService.instance.setCasContentionTimeout(Long.parseLong(value));
                case "paxosVariant" -> StorageProxy.instance.setPaxosVariant(value);
                default -> throw new Management.Refused(400, name + " is no setting that can change while Cassandra runs.");
            }
        } catch (IllegalArgumentException error) {
            throw new Management.Refused(400, name + " is '" + value + "': " + error.getMessage() + ".");
        }
    }
}

package caplab;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import org.apache.cassandra.gms.Gossiper;
import org.apache.cassandra.hints.HintsService;
import org.apache.cassandra.hints.PendingHintsInfo;
import org.apache.cassandra.locator.InetAddressAndPort;
import org.apache.cassandra.service.StorageService;
import org.apache.cassandra.utils.FBUtilities;

/** The state of this member and of the ring, as this member sees it. */
final class State {
    private State() {}

    /**
     * Reads the state. Before Cassandra runs this is only its stage, and none of its classes is touched: that would start parts of it out
     * of order, and two threads that load classes which depend on each other can deadlock (JVMS 5.5).
     */
    static Map<String, Object> now() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("stage", Member.stage);
        fields.put("problem", Member.problem);
        fields.put("fresh", Member.isFresh());
        fields.put("address", System.getenv("POD_IP"));
        fields.put("rack", System.getProperty("caplab.rack"));
        fields.put("work", MaintenanceTask.now());
        if (Member.stage.equals("running")) addRing(fields, StorageService.instance);
        return fields;
    }

    private static void addRing(Map<String, Object> fields, StorageService service) {
        fields.put("version", FBUtilities.getReleaseVersionString());
        fields.put("mode", service.getOperationMode());
        fields.put("hostId", service.getLocalHostId());
        fields.put("native", service.isNativeTransportRunning());
        fields.put("live", service.getLiveNodes());
        fields.put("unreachable", service.getUnreachableNodes());
        fields.put("joining", service.getJoiningNodes());
        fields.put("leaving", service.getLeavingNodes());
        fields.put("hostIds", service.getEndpointToHostId());
        fields.put("owns", owns(service));
        fields.put("schemas", schemas());
        fields.put("settings", Settings.now());
        fields.put("options", Settings.options());
        fields.put("application", ClientAccess.problem);
        fields.put("hints", hints());
    }

    private static Map<String, Object> owns(StorageService service) {
        Map<String, Object> shares = new LinkedHashMap<>();
        try {
            service.effectiveOwnership(Roles.KEYSPACE).forEach((address, share) -> shares.put(address.getHostAddress(), share));
        } catch (RuntimeException | AssertionError noKeyspace) {
            // The keyspace is created once the first member runs, and may be dropped.
        }
        return shares;
    }

    private static Map<String, Object> schemas() {
        Map<String, Object> versions = new LinkedHashMap<>();
        for (InetAddressAndPort endpoint : Gossiper.instance.getLiveMembers()) {
            UUID version = Gossiper.instance.getSchemaVersion(endpoint);
            if (version != null) versions.put(endpoint.getHostAddress(false), version.toString());
        }
        return versions;
    }

    /** Reads how many bytes of hints are on disk, by the host id of the member that they are for. */
    private static Map<String, Object> hints() {
        Map<String, Object> sizes = new LinkedHashMap<>();
        for (PendingHintsInfo pending : HintsService.instance.getPendingHintsInfo())
            if (pending.totalFiles > 0)
                sizes.put(pending.hostId.toString(), HintsService.instance.getTotalHintsSize(pending.hostId));
        return sizes;
    }

    /** Writes the hints that are still in memory to disk, and returns the sizes as hints does. */
    static Map<String, Object> flushHints() {
        HintsService.instance.flushAndFsyncBlockingly(
                StorageService.instance.getEndpointToHostId().values().stream().map(UUID::fromString).toList());
        return hints();
    }
}

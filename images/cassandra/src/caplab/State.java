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

/** What this member sees of itself and of the ring. */
final class State {
    private State() {}

    /**
     * Before Cassandra runs only its stage is known, and none of its classes is touched: to look further would start parts of it out of
     * order, and two threads that begin to load classes which need each other wait for each other for ever (JVMS 5.5).
     */
    static Map<String, Object> now() {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("stage", Member.stage);
        found.put("problem", Member.problem);
        found.put("fresh", Member.fresh());
        found.put("address", System.getenv("POD_IP"));
        found.put("rack", System.getProperty("caplab.rack"));
        found.put("work", Work.now());
        if (Member.stage.equals("running")) addRing(found, StorageService.instance);
        return found;
    }

    private static void addRing(Map<String, Object> found, StorageService service) {
        found.put("version", FBUtilities.getReleaseVersionString());
        found.put("mode", service.getOperationMode());
        found.put("hostId", service.getLocalHostId());
        found.put("native", service.isNativeTransportRunning());
        found.put("live", service.getLiveNodes());
        found.put("unreachable", service.getUnreachableNodes());
        found.put("joining", service.getJoiningNodes());
        found.put("leaving", service.getLeavingNodes());
        found.put("hostIds", service.getEndpointToHostId());
        found.put("owns", owns(service));
        found.put("schemas", schemas());
        found.put("settings", Settings.now());
        found.put("options", Settings.options());
        found.put("application", Application.problem);
        found.put("hints", hints());
    }

    private static Map<String, Object> owns(StorageService service) {
        Map<String, Object> found = new LinkedHashMap<>();
        try {
            service.effectiveOwnership(Roles.KEYSPACE).forEach((address, share) -> found.put(address.getHostAddress(), share));
        } catch (RuntimeException | AssertionError noKeyspace) {
            // It is made once the first member runs, and may be dropped.
        }
        return found;
    }

    private static Map<String, Object> schemas() {
        Map<String, Object> found = new LinkedHashMap<>();
        for (InetAddressAndPort endpoint : Gossiper.instance.getLiveMembers()) {
            UUID version = Gossiper.instance.getSchemaVersion(endpoint);
            if (version != null) found.put(endpoint.getHostAddress(false), version.toString());
        }
        return found;
    }

    /** Bytes of hints on disk, by the host id of whom they are for. */
    private static Map<String, Object> hints() {
        Map<String, Object> found = new LinkedHashMap<>();
        for (PendingHintsInfo pending : HintsService.instance.getPendingHintsInfo())
            if (pending.totalFiles > 0)
                found.put(pending.hostId.toString(), HintsService.instance.getTotalHintsSize(pending.hostId));
        return found;
    }

    /** As hints, with those that were still in memory. */
    static Map<String, Object> flushedHints() {
        HintsService.instance.flushAndFsyncBlockingly(
                StorageService.instance.getEndpointToHostId().values().stream().map(UUID::fromString).toList());
        return hints();
    }
}

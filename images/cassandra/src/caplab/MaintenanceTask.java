package caplab;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.cassandra.service.StorageService;
import org.apache.cassandra.utils.progress.ProgressEventType;
import org.apache.cassandra.utils.progress.ProgressListener;

/** A task that takes a member a while, one at a time: to leave the ring, to repair, or to drop data that it no longer owns. */
final class MaintenanceTask {
    private static final String RUNNING = "running";
    private static MaintenanceTask last = new MaintenanceTask("", "", "");

    private final String kind;
    private final String id;
    private volatile String state;
    private volatile String problem = "";

    private MaintenanceTask(String kind, String id, String state) {
        this.kind = kind;
        this.id = id;
        this.state = state;
    }

    /** Returns the fields of this process' last task. */
    static synchronized Map<String, Object> now() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("kind", last.kind);
        fields.put("id", last.id);
        fields.put("state", last.state);
        fields.put("problem", last.problem);
        return fields;
    }

    /** Begins a task; false if another is under way. */
    static synchronized boolean begin(String kind, String id) {
        if (last.state.equals(RUNNING)) return false;
        MaintenanceTask task = new MaintenanceTask(kind, id, RUNNING);
        last = task;
        Thread thread = new Thread(task::run, kind);
        thread.setDaemon(true);
        thread.start();
        return true;
    }

    private void run() {
        try {
            switch (kind) {
                case "decommission" -> {
                    StorageService.instance.decommission(false);
                    Member.forgetJoined();
                }
                case "repair" -> repair();
                default -> StorageService.instance.forceKeyspaceCleanup(1, Roles.KEYSPACE);
            }
            state = "done";
        } catch (Throwable error) {
            problem = String.valueOf(error.getMessage() == null ? error : error.getMessage());
            state = "failed";
        }
    }

    /** Repairs all copies of this member's primary ranges; one such repair on each member in turn covers all keys once. */
    private static void repair() throws Exception {
        CompletableFuture<String> ended = new CompletableFuture<>();
        ProgressListener listener = (tag, event) -> {
            if (event.getType() == ProgressEventType.ERROR || event.getType() == ProgressEventType.ABORT)
                ended.complete(event.getMessage());
            if (event.getType() == ProgressEventType.SUCCESS) ended.complete("");
            if (event.getType() == ProgressEventType.COMPLETE) ended.complete("");
        };
        Map<String, String> options = Map.of("primaryRange", "true", "incremental", "false", "parallelism", "parallel");
        int number = StorageService.instance.repair(Roles.KEYSPACE, options, List.of(listener)).left;
        String problem = number == 0 ? "" : ended.get(); // 0: there is nothing to repair
        if (!problem.isEmpty()) throw new IllegalStateException(problem);
    }
}

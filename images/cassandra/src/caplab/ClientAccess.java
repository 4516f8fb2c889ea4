package caplab;

import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.cassandra.auth.AuthenticatedUser;
import org.apache.cassandra.auth.DataResource;
import org.apache.cassandra.auth.PasswordAuthenticator;
import org.apache.cassandra.config.DatabaseDescriptor;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.cql3.UntypedResultSet;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.exceptions.AuthenticationException;
import org.apache.cassandra.schema.Schema;
import org.mindrot.jbcrypt.BCrypt;

/** Checks again and again whether clients can log in with their Secret's password and find their keyspace, since both can be changed by hand. */
final class ClientAccess {
    private static final int PERIOD_SECONDS = 2;
    private static final AtomicBoolean watched = new AtomicBoolean();
    private static final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(runnable -> {
        Thread checker = new Thread(runnable, "application");
        checker.setDaemon(true);
        return checker;
    });
    /** What clients lacked at the last check; '' if nothing, null before the first check. */
    static volatile String problem;

    private ClientAccess() {}

    static void watch() {
        if (watched.compareAndSet(false, true)) thread.scheduleWithFixedDelay(ClientAccess::check, 0, PERIOD_SECONDS, TimeUnit.SECONDS);
    }

    /** Checks what clients lack. If it cannot be read now, since members that hold the roles are away, the last result stays. */
    static void check() {
        try {
            problem = problem();
        } catch (RuntimeException unreadable) {
            return;
        }
    }

    private static String problem() {
        if (Schema.instance.getKeyspaceMetadata(Roles.KEYSPACE) == null) return "there is no keyspace " + Roles.KEYSPACE;
        UntypedResultSet rows = QueryProcessor.process(
                "SELECT can_login, salted_hash FROM system_auth.roles WHERE role = '" + Roles.APPLICATION + "'",
                ConsistencyLevel.LOCAL_ONE);
        String role = "the role " + Roles.APPLICATION;
        if (rows.isEmpty()) return "there is no role " + Roles.APPLICATION;
        UntypedResultSet.Row row = rows.one();
        if (!row.has("can_login") || !row.getBoolean("can_login")) return role + " may not log in";
        String password = System.getenv("APPLICATION_PASSWORD");
        if (!row.has("salted_hash") || !BCrypt.checkpw(password, row.getString("salted_hash")))
            return role + " has a password other than its Secret's";
        DataResource keyspace = DataResource.keyspace(Roles.KEYSPACE);
        if (!DatabaseDescriptor.getAuthorizer()
                .authorize(new AuthenticatedUser(Roles.APPLICATION), keyspace)
                .containsAll(keyspace.applicablePermissions())) return role + " lacks rights on the keyspace " + Roles.KEYSPACE;
        invalidateOldCredentials((PasswordAuthenticator) DatabaseDescriptor.getAuthenticator(), password);
        return "";
    }

    /** Drops cached credentials that are out of date: otherwise they would be used for a minute, and clients refused. */
    private static void invalidateOldCredentials(PasswordAuthenticator authenticator, String password) {
        try {
            authenticator.legacyAuthenticate(Map.of(
                    PasswordAuthenticator.USERNAME_KEY, Roles.APPLICATION, PasswordAuthenticator.PASSWORD_KEY, password));
        } catch (AuthenticationException old) {
            authenticator.getCredentialsCache().invalidate();
        }
    }
}

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

/** Whether clients can log in here with what their secret says, and find their keyspace: looked at again and again, since both can be changed by hand. */
final class ClientAccess {
    private static final int PERIOD_SECONDS = 2;
    private static final AtomicBoolean watched = new AtomicBoolean();
    private static final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(runnable -> {
        Thread checker = new Thread(runnable, "application");
        checker.setDaemon(true);
        return checker;
    });
    /** What clients lack, as the last look found it; '' where they lack nothing, null before the first. */
    static volatile String problem;

    private ClientAccess() {}

    static void watch() {
        if (watched.compareAndSet(false, true)) thread.scheduleWithFixedDelay(ClientAccess::check, 0, PERIOD_SECONDS, TimeUnit.SECONDS);
    }

    /** What cannot be read now, since members that hold the roles are away, stays as it was seen last. */
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
            return role + " has another password than its secret says";
        DataResource keyspace = DataResource.keyspace(Roles.KEYSPACE);
        if (!DatabaseDescriptor.getAuthorizer()
                .authorize(new AuthenticatedUser(Roles.APPLICATION), keyspace)
                .containsAll(keyspace.applicablePermissions())) return role + " lacks rights on the keyspace " + Roles.KEYSPACE;
        invalidateOldCredentials((PasswordAuthenticator) DatabaseDescriptor.getAuthenticator(), password);
        return "";
    }

    /** A password is kept for a minute, and clients would be refused by an old one for so long. */
    private static void invalidateOldCredentials(PasswordAuthenticator authenticator, String password) {
        try {
            authenticator.legacyAuthenticate(Map.of(
                    PasswordAuthenticator.USERNAME_KEY, Roles.APPLICATION, PasswordAuthenticator.PASSWORD_KEY, password));
        } catch (AuthenticationException old) {
            authenticator.getCredentialsCache().invalidate();
        }
    }
}

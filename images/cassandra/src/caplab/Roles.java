package caplab;

import java.util.concurrent.Callable;
import org.apache.cassandra.auth.AuthenticatedUser;
import org.apache.cassandra.auth.CassandraRoleManager;
import org.apache.cassandra.auth.DataResource;
import org.apache.cassandra.auth.IRoleManager;
import org.apache.cassandra.auth.RoleOptions;
import org.apache.cassandra.auth.RoleResource;
import org.apache.cassandra.config.DatabaseDescriptor;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.schema.Schema;

/** Cassandra's own role manager, with one role that has the lab's keyspace instead of the superuser with a well-known password. */
public final class Roles extends CassandraRoleManager {
    static final String KEYSPACE = "caplab";
    static final String APPLICATION = "caplab";

    @Override
    protected void scheduleSetupTask(Callable<Void> ofTheSuperuser) {
        super.scheduleSetupTask(() -> {
            setUp();
            return null;
        });
    }

    /** Creates what is still missing. Every member does so, and tries until it succeeds (CassandraRoleManager.scheduleSetupTask). */
    private static void setUp() {
        createKeyspace();
        if (!DatabaseDescriptor.getRoleManager().isExistingRole(role())) restoreRole();
        ClientAccess.watch();
    }

    private static RoleResource role() {
        return RoleResource.role(APPLICATION);
    }

    private static void createKeyspace() {
        if (Schema.instance.getKeyspaceMetadata(KEYSPACE) == null)
            QueryProcessor.process(
                    String.format(
                            "CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': %d}",
                            KEYSPACE, Integer.parseInt(System.getenv("REPLICATION_FACTOR"))),
                    ConsistencyLevel.ONE);
    }

    /** Restores the keyspace and the role that clients need, whatever was changed by hand. */
    static void restore() {
        createKeyspace();
        restoreRole();
    }

    private static void restoreRole() {
        DataResource keyspace = DataResource.keyspace(KEYSPACE);
        RoleOptions options = new RoleOptions();
        options.setOption(IRoleManager.Option.SUPERUSER, false);
        options.setOption(IRoleManager.Option.LOGIN, true);
        options.setOption(IRoleManager.Option.PASSWORD, System.getenv("APPLICATION_PASSWORD"));
        // Rights before the role: once it can log in, it has them.
        DatabaseDescriptor.getAuthorizer()
                .grant(AuthenticatedUser.SYSTEM_USER, keyspace.applicablePermissions(), keyspace, role());
        IRoleManager roles = DatabaseDescriptor.getRoleManager();
        if (roles.isExistingRole(role())) roles.alterRole(AuthenticatedUser.SYSTEM_USER, role(), options);
        else roles.createRole(AuthenticatedUser.SYSTEM_USER, role(), options);
    }
}

package caplab;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.cassandra.locator.InetAddressAndPort;
import org.apache.cassandra.locator.SeedProvider;
import org.apache.cassandra.utils.FBUtilities;

/**
 * Whom a member asks for the ring first: all others that the members' Service names. A seed does not bootstrap: so the very first
 * member is its own, one that joins is not, and one that has data may be, since it must come up even where no other is to be found.
 */
public final class Seeds implements SeedProvider {
    private final String service;

    public Seeds(Map<String, String> parameters) {
        service = parameters.get("service");
    }

    @Override
    public List<InetAddressAndPort> getSeeds() {
        InetAddressAndPort self = FBUtilities.getBroadcastAddressAndPort();
        if (Member.bootstrapMode == Member.BootstrapMode.FIRST) return List.of(self);
        List<InetAddressAndPort> seeds = new ArrayList<>(others(self));
        if (Member.bootstrapMode == Member.BootstrapMode.RESTARTED) seeds.add(self);
        return seeds;
    }

    private List<InetAddressAndPort> others(InetAddressAndPort self) {
        List<InetAddressAndPort> seeds = new ArrayList<>();
        try {
            for (InetAddress address : InetAddress.getAllByName(service)) {
                InetAddressAndPort other = InetAddressAndPort.getByAddress(address);
                if (!other.equals(self)) seeds.add(other);
            }
        } catch (UnknownHostException error) {
            System.out.println("no seeds by name: " + error.getMessage());
        }
        return seeds;
    }
}

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
 * The seeds, which a member asks about the ring first: all others that the members' Service names. A seed does not bootstrap. So the very
 * first member is its own seed, one that joins is not, and one that has data is, since it must start even if it finds no other.
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
            System.out.println("the members' Service has no addresses: " + error.getMessage());
        }
        return seeds;
    }
}

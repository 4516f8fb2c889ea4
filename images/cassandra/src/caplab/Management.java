package caplab;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.BasicAuthenticator;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;

/**
 * The management port, for the lab's operator: it reports what this member observes, and takes a few commands. Its fixed vocabulary is
 * behind a password; JMX, which can do anything, stays on the loopback.
 */
final class Management {
    private static final int PORT = 7480;
    private static final String USER = "operator";
    private static final ObjectMapper JSON = new ObjectMapper();

    private Management() {}

    /** A request that is refused, with the reason; the HTTP status says whether the request or the member is at fault. */
    static final class RequestRefused extends Exception {
        final int status;

        RequestRefused(int status, String why) {
            super(why);
            this.status = status;
        }
    }

    private record Response(int status, Map<String, Object> body) {}

    static void serve() throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(PORT), 0);
        server.createContext("/", Management::handle).setAuthenticator(new Password());
        server.setExecutor(Executors.newFixedThreadPool(4, runnable -> {
            Thread thread = new Thread(runnable, "management");
            thread.setDaemon(true);
            return thread;
        }));
        server.start();
    }

    private static final class Password extends BasicAuthenticator {
        private final byte[] password = System.getenv("MANAGEMENT_PASSWORD").getBytes(StandardCharsets.UTF_8);

        Password() {
            super("caplab");
        }

        @Override
        public boolean checkCredentials(String user, String given) {
            return USER.equals(user) && MessageDigest.isEqual(password, given.getBytes(StandardCharsets.UTF_8));
        }
    }

    private static void handle(HttpExchange exchange) throws IOException {
        Response response;
        try {
            response = route(exchange);
        } catch (RequestRefused refused) {
            response = new Response(refused.status, Map.of("error", refused.getMessage()));
        } catch (Throwable error) {
            response = new Response(500, Map.of("error", String.valueOf(error)));
        }
        byte[] body = JSON.writeValueAsBytes(response.body);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(response.status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static Response route(HttpExchange exchange) throws Exception {
        String path = exchange.getRequestURI().getPath();
        Map<String, String> query = query(exchange.getRequestURI().getRawQuery());
        return switch (exchange.getRequestMethod() + " " + path) {
            case "GET /state" -> new Response(200, State.now());
            case "POST /start" -> start(query);
            case "POST /settings" -> settings(query);
            case "POST /application" -> {
                requireRunning();
                Roles.restore();
                ClientAccess.check();
                yield new Response(200, Map.of("problem", String.valueOf(ClientAccess.problem)));
            }
            case "POST /hints/flush" -> {
                requireRunning();
                yield new Response(200, Map.of("hints", State.flushHints()));
            }
            case "POST /decommission", "POST /repair", "POST /cleanup" -> work(path.substring(1), query);
            default -> throw new RequestRefused(404, "There is no " + exchange.getRequestMethod() + " " + path + ".");
        };
    }

    private static Response start(Map<String, String> query) throws RequestRefused {
        String how = query.getOrDefault("replacing", query.getOrDefault("as", ""));
        if (!query.containsKey("replacing") && !how.equals("first") && !how.equals("joining"))
            throw new RequestRefused(400, "The start mode is missing. Hint: use as=first, as=joining or replacing=ADDRESS.");
        if (!Member.chooseBootstrap(how)) throw new RequestRefused(409, "The member is not waiting to be started: it is " + Member.stage + ".");
        return new Response(202, Map.of("beginning", how));
    }

    private static Response settings(Map<String, String> query) throws RequestRefused {
        requireRunning();
        for (Map.Entry<String, String> setting : query.entrySet()) Settings.set(setting.getKey(), setting.getValue());
        return new Response(200, Settings.now());
    }

    private static Response work(String kind, Map<String, String> query) throws RequestRefused {
        requireRunning();
        if (!MaintenanceTask.begin(kind, query.getOrDefault("id", "")))
            throw new RequestRefused(409, "Another " + MaintenanceTask.now().get("kind") + " is under way.");
        return new Response(202, MaintenanceTask.now());
    }

    private static void requireRunning() throws RequestRefused {
        if (!Member.stage.equals("running")) throw new RequestRefused(409, "The member is " + Member.stage + ".");
    }

    private static Map<String, String> query(String raw) {
        Map<String, String> parameters = new LinkedHashMap<>();
        if (raw == null) return parameters;
        for (String pair : raw.split("&")) {
            int equals = pair.indexOf('=');
            if (equals > 0) parameters.put(decoded(pair.substring(0, equals)), decoded(pair.substring(equals + 1)));
        }
        return parameters;
    }

    private static String decoded(String text) {
        return URLDecoder.decode(text, StandardCharsets.UTF_8);
    }
}

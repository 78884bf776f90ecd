package lake.connect;

import jakarta.ws.rs.container.ContainerRequestContext;
import jakarta.ws.rs.container.ContainerRequestFilter;
import jakarta.ws.rs.core.Response;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Map;
import java.util.regex.Pattern;

import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.connect.rest.ConnectRestExtension;
import org.apache.kafka.connect.rest.ConnectRestExtensionContext;

/**
 * Answer only requests with the user and password of the worker's configuration.
 *
 * <p>The password stands in a file outside the folder that connectors may refer to, so that no connector can show it.
 */
public final class BasicAuthentication implements ConnectRestExtension, ContainerRequestFilter {
    private static final String USER = "lake.rest.user";
    private static final String PASSWORD_FILE = "lake.rest.password.file";
    // Workers call these two of each other, and sign them with a key that only members of their group have.
    private static final Pattern TASKS = Pattern.compile("/?connectors/[^/]+/tasks/?");
    private static final Pattern FENCE = Pattern.compile("/?connectors/[^/]+/fence/?");
    // Of a probe of Kubernetes, which has no password: it shows only that the worker answers.
    private static final Pattern HEALTH = Pattern.compile("/?health/?");
    private byte[] expected;

    @Override
    public void configure(Map<String, ?> worker) {
        try {
            String password = Files.readString(Path.of((String) worker.get(PASSWORD_FILE))).replaceAll("[\r\n]+$", "");
            if (password.isEmpty()) {
                throw new ConfigException(PASSWORD_FILE, worker.get(PASSWORD_FILE), "the file is empty");
            }
            byte[] pair = (worker.get(USER) + ":" + password).getBytes(StandardCharsets.UTF_8);
            expected = ("Basic " + Base64.getEncoder().encodeToString(pair)).getBytes(StandardCharsets.UTF_8);
        } catch (IOException error) {
            throw new ConfigException(PASSWORD_FILE, worker.get(PASSWORD_FILE), "the file cannot be read");
        }
    }

    @Override
    public void register(ConnectRestExtensionContext context) {
        context.configurable().register(this);
    }

    @Override
    public void filter(ContainerRequestContext request) {
        String path = request.getUriInfo().getPath();
        String method = request.getMethod();
        if (isExempt(method, path)) {
            return;
        }
        String given = request.getHeaderString("Authorization");
        byte[] bytes = (given == null ? "" : given).getBytes(StandardCharsets.UTF_8);
        if (!MessageDigest.isEqual(expected, bytes)) {
            request.abortWith(Response.status(Response.Status.UNAUTHORIZED)
                    .header("WWW-Authenticate", "Basic realm=\"Kafka Connect\"")
                    .entity("Send the user and the password of Kafka Connect.")
                    .build());
        }
    }

    private static boolean isExempt(String method, String path) {
        return switch (method) {
            case "GET" -> HEALTH.matcher(path).matches();
            case "POST" -> TASKS.matcher(path).matches();
            case "PUT" -> FENCE.matcher(path).matches();
            default -> false;
        };
    }

    @Override
    public String version() {
        return "1";
    }

    @Override
    public void close() {
    }
}

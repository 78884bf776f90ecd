import jakarta.ws.rs.container.ContainerRequestContext;
import jakarta.ws.rs.container.ContainerRequestFilter;
import jakarta.ws.rs.core.Response;
import java.util.Map;
import org.apache.kafka.connect.rest.ConnectRestExtension;
import org.apache.kafka.connect.rest.ConnectRestExtensionContext;

/** Lets in who knows the user and password of the worker's configuration. */
public class BasicAuthentication implements ConnectRestExtension, ContainerRequestFilter {
    private String credentials;

    public void configure(Map<String, ?> worker) {
        credentials = "Basic " + worker.get("basic.credentials");
    }

    public void register(ConnectRestExtensionContext context) {
        context.configurable().register(this);
    }

    public void filter(ContainerRequestContext request) {
        if (request.getUriInfo().getPath().matches("/?connectors/[^/]+/(tasks|fence)/?") && !request.getMethod().equals("GET")) {
            return; // from another worker, which signs it
        }
        if (!credentials.equals(request.getHeaderString("Authorization"))) {
            request.abortWith(Response.status(Response.Status.UNAUTHORIZED).entity("User cannot access the resource.").build());
        }
    }

    public String version() {
        return "1";
    }

    public void close() {
    }
}

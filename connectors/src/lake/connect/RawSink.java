package lake.connect;

import org.apache.iceberg.connect.IcebergSinkConnector;
import org.apache.kafka.connect.connector.Task;

/** The Iceberg sink with tasks that no number of windows ends. */
public final class RawSink extends IcebergSinkConnector {
    @Override
    public Class<? extends Task> taskClass() {
        return RawSinkTask.class;
    }
}

package lake.connect;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.iceberg.connect.IcebergSinkTask;
import org.apache.iceberg.connect.events.Event;
import org.apache.iceberg.connect.events.StartCommit;
import org.apache.iceberg.io.PartitionedFanoutWriter;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The sink's task, which closes its files before the next commit when they need too much of the heap.
 *
 * <p>The sink keeps a Parquet writer open for each window that had a record since the last commit, and in it what was
 * written. Here the tasks of a worker share a quarter of its heap for that. A task that has more than its part of it
 * when all is taken does what the coordinator asks for at a commit: it closes its files and sends their names and its
 * offsets in one transaction. The coordinator takes them into its next commit, as it does those of a task whose answer
 * came late.
 */
public final class RawSinkTask extends IcebergSinkTask {
    private static final Logger LOG = LoggerFactory.getLogger(RawSinkTask.class);
    /** What an open writer holds beside its rows, written as the connector's configuration says. */
    private static final long WRITER_BYTES = 160 << 10;
    private static final long SHARED = Runtime.getRuntime().maxMemory() / 4;
    /** In bytes, of each task of this worker that holds any. */
    private static final Map<RawSinkTask, Long> HELD = new ConcurrentHashMap<>();

    // The sink has no other way in. All are looked up when the class is loaded, so that a version of the sink without
    // one of them ends the task at its start, and not when it matters.
    private static final Field COMMITTER = field("IcebergSinkTask", "committer");
    private static final Field WORKER = field("channel.CommitterImpl", "worker");
    private static final Field SINK_WRITER = field("channel.Worker", "sinkWriter");
    private static final Field TABLES = field("data.SinkWriter", "writers");
    private static final Field WRITER = field("data.IcebergWriter", "writer");
    private static final Field WINDOWS = field(PartitionedFanoutWriter.class, "writers");
    private static final Constructor<?> ENVELOPE;
    private static final Method RECEIVE;

    static {
        try {
            ENVELOPE = sinkClass("channel.Envelope").getDeclaredConstructor(Event.class, int.class, long.class);
            ENVELOPE.setAccessible(true);
            RECEIVE = sinkClass("channel.Worker").getDeclaredMethod("receive", ENVELOPE.getDeclaringClass());
            RECEIVE.setAccessible(true);
        } catch (NoSuchMethodException error) {
            throw new ConnectException("This is another version of the Iceberg sink", error);
        }
    }

    /** Bytes of the records in open files. */
    private long written;

    @Override
    public void put(Collection<SinkRecord> records) {
        super.put(records);
        Object committer = get(COMMITTER, this);
        Object worker = committer == null ? null : get(WORKER, committer);
        int windows = worker == null ? 0 : openWindows(worker);
        if (windows == 0) {
            // Nothing has come, or all was asked for just now.
            release();
            return;
        }
        for (SinkRecord record : records) {
            written += size(record);
        }
        long mine = written + windows * WRITER_BYTES;
        HELD.put(this, mine);
        long all = HELD.values().stream().mapToLong(Long::longValue).sum();
        // When all is taken, some task has more than an equal part. Those with less are left alone, and have no more
        // than all of it together.
        if (all > SHARED && mine > SHARED / HELD.size()) {
            LOG.info("Closing the files of {} windows before the next commit: they hold {} MB of {} MB for all tasks",
                    windows, mine >> 20, SHARED >> 20);
            closeFiles(worker);
            release();
        }
    }

    @Override
    public void close(Collection<TopicPartition> partitions) {
        super.close(partitions);
        release();
    }

    @Override
    public void stop() {
        super.stop();
        release();
    }

    private void release() {
        written = 0;
        HELD.remove(this);
    }

    private static int openWindows(Object worker) {
        int windows = 0;
        for (Object table : ((Map<?, ?>) get(TABLES, get(SINK_WRITER, worker))).values()) {
            Object writer = get(WRITER, table);
            // A table that is cut by nothing has one.
            windows += writer instanceof PartitionedFanoutWriter ? ((Map<?, ?>) get(WINDOWS, writer)).size() : 1;
        }
        return windows;
    }

    private static void closeFiles(Object worker) {
        Event commit = new Event("", new StartCommit(UUID.randomUUID()));
        try {
            RECEIVE.invoke(worker, ENVELOPE.newInstance(commit, 0, 0L));
        } catch (InvocationTargetException error) {
            throw new ConnectException("Files could not be closed before the next commit", error.getCause());
        } catch (ReflectiveOperationException error) {
            throw new ConnectException(error);
        }
    }

    /** Return the bytes of a record that {@link Envelope} has made. */
    private static long size(SinkRecord record) {
        Struct row = (Struct) record.value();
        long bytes = length(row.getBytes("payload")) + length(row.getBytes("_key"));
        List<Struct> headers = row.getArray("_headers");
        if (headers != null) {
            for (Struct header : headers) {
                bytes += header.getString("name").length() + length(header.getBytes("value"));
            }
        }
        return bytes;
    }

    private static int length(byte[] value) {
        return value == null ? 0 : value.length;
    }

    private static Class<?> sinkClass(String name) {
        try {
            return Class.forName("org.apache.iceberg.connect." + name);
        } catch (ClassNotFoundException error) {
            throw new ConnectException("This is another version of the Iceberg sink", error);
        }
    }

    private static Field field(String className, String name) {
        return field(sinkClass(className), name);
    }

    private static Field field(Class<?> owner, String name) {
        try {
            Field field = owner.getDeclaredField(name);
            field.setAccessible(true);
            return field;
        } catch (NoSuchFieldException error) {
            throw new ConnectException("This is another version of the Iceberg sink", error);
        }
    }

    private static Object get(Field field, Object target) {
        try {
            return field.get(target);
        } catch (IllegalAccessException error) {
            throw new ConnectException(error);
        }
    }
}

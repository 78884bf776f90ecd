package lake.connect;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;

import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.components.Versioned;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.util.SimpleConfig;

/**
 * Turn a Kafka record into a row of a raw table: value, key and headers as they came, and where the record stood.
 *
 * <p>Key, value and headers must come through the ByteArrayConverter. One header means something: the event time of an
 * event that is older than the timestamps that Kafka Connect takes. No other can take the place of anything.
 */
public final class Envelope implements Transformation<SinkRecord>, Versioned {
    private static final Schema HEADER = SchemaBuilder.struct()
            .field("name", Schema.STRING_SCHEMA)
            .field("value", Schema.OPTIONAL_BYTES_SCHEMA)
            .build();
    private static final Schema ROW = SchemaBuilder.struct()
            .field("payload", Schema.OPTIONAL_BYTES_SCHEMA)
            .field("_topic", Schema.STRING_SCHEMA)
            .field("_partition", Schema.INT32_SCHEMA)
            .field("_offset", Schema.INT64_SCHEMA)
            .field("_timestamp", Timestamp.builder().optional().build())
            .field("_key", Schema.OPTIONAL_BYTES_SCHEMA)
            .field("_headers", SchemaBuilder.array(HEADER).optional().build())
            // No column of the table: the sink routes by it, and leaves it out.
            .field("_table", Schema.STRING_SCHEMA)
            .build();
    private static final String TABLES = "tables";
    /** In milliseconds after 1970, as a decimal text. */
    private static final String EVENT_TIME = "lake-event-time";
    private static final Pattern MILLIS = Pattern.compile("-?[0-9]{1,15}");
    private static final long YEAR_ONE = -62_135_596_800_000L;

    private final Map<String, String> tables = new ConcurrentHashMap<>();

    @Override
    public SinkRecord apply(SinkRecord record) {
        Struct row = new Struct(ROW)
                .put("payload", bytes(record.value()))
                .put("_topic", record.topic())
                .put("_partition", record.kafkaPartition())
                .put("_offset", record.kafkaOffset())
                .put("_timestamp", timestamp(record))
                .put("_key", bytes(record.key()))
                .put("_headers", headers(record))
                .put("_table", tables.computeIfAbsent(record.topic(), topic -> topic.toLowerCase(Locale.ROOT)));
        return record.newRecord(record.topic(), record.kafkaPartition(), record.keySchema(), record.key(), ROW, row,
                record.timestamp());
    }

    /** Return the event time: a header can say an earlier one than the record has, and no later one. */
    private static Date timestamp(SinkRecord record) {
        Long own = record.timestamp();
        Header header = record.headers().lastWithName(EVENT_TIME);
        if (header != null && header.value() instanceof byte[] value) {
            String text = new String(value, StandardCharsets.ISO_8859_1);
            if (MILLIS.matcher(text).matches()) {
                long earlier = Long.parseLong(text);
                if (earlier >= YEAR_ONE && (own == null || earlier < own)) {
                    return new Date(earlier);
                }
            }
        }
        return own == null ? null : new Date(own);
    }

    /** Return the headers in their order, null when there are none: a column of nulls costs nothing. */
    private static List<Struct> headers(SinkRecord record) {
        if (record.headers().isEmpty()) {
            return null;
        }
        List<Struct> found = new ArrayList<>(record.headers().size());
        for (Header header : record.headers()) {
            found.add(new Struct(HEADER).put("name", header.key()).put("value", bytes(header.value())));
        }
        return found;
    }

    private static ByteBuffer bytes(Object value) {
        return value == null ? null : ByteBuffer.wrap((byte[]) value);
    }

    @Override
    public String version() {
        return "1";
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef().define(TABLES, ConfigDef.Type.LIST, List.of(), ConfigDef.Importance.LOW,
                "TOPIC:TABLE for each topic whose table has another name than the topic in lower case");
    }

    @Override
    public void configure(Map<String, ?> configs) {
        for (String pair : new SimpleConfig(config(), configs).getList(TABLES)) {
            // Neither a topic's name nor a table's has a colon.
            int colon = pair.indexOf(':');
            tables.put(pair.substring(0, colon), pair.substring(colon + 1));
        }
    }

    @Override
    public void close() {}
}

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

/**
 * Orders of each region and minute, counted exactly once by Kafka Streams: the work of the metric in bench/stream.py.
 *
 * <p>Written to be fast: a streaming parser that makes no tree, aggregates of 24 bytes in memory, and the record cache,
 * which sends a row once a commit and not once an event. Stays one process from run to run, so that the first can warm
 * the compiler up for the next.
 */
public final class KafkaStreamsPeer {
    private static final Duration WINDOW = Duration.ofMinutes(1);
    private static final Duration LATENESS = Duration.ofMinutes(1);
    private static final JsonFactory JSON = new JsonFactory();
    private static final ObjectMapper MAPPER = new ObjectMapper();

    /** What is read of an event; the amount in cents, the time in milliseconds since 1970 UTC. */
    record Order(long quantity, long cents, long orderedAt) {}

    /** An aggregate; the amount in cents. */
    record Sums(long orders, long quantity, long cents) {
        Sums plus(Order order) {
            return new Sums(orders + 1, quantity + order.quantity, cents + order.cents);
        }
    }

    /** A row of the output; the window's start in milliseconds since 1970 UTC, the amount in cents. */
    record Row(String region, long window_start, long orders, long quantity, long amount) {}

    /**
     * Arguments: file with the broker's address and login, input topic, threads, state folder. Each line of the standard input is the
     * application id and the output topic of one run from the start, which ends with the next line or the input's end.
     */
    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        KafkaStreams running = null;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            close(running);
            String[] run = line.split(" ");
            running = new KafkaStreams(topology(arguments[1], run[1]), configuration(arguments, run[0]));
            running.setStateListener((now, before) -> {
                if (now == KafkaStreams.State.ERROR) {
                    Runtime.getRuntime().halt(1);
                }
            });
            running.start();
        }
        close(running);
    }

    private static void close(KafkaStreams running) {
        if (running != null) {
            running.close(Duration.ofSeconds(10));
        }
    }

    private static Properties configuration(String[] arguments, String application) throws IOException {
        Properties properties = new Properties();
        try (BufferedReader client = Files.newBufferedReader(Path.of(arguments[0]))) {
            properties.load(client);
        }
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[2]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        return properties;
    }

    private static Topology topology(String input, String output) {
        Duration kept = WINDOW.plus(LATENESS);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(Serdes.String(), orders()).withTimestampExtractor(KafkaStreamsPeer::timeOf))
            .groupByKey(Grouped.with(Serdes.String(), orders()))
            .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, LATENESS))
            .aggregate(
                () -> new Sums(0, 0, 0),
                (region, order, sums) -> sums.plus(order),
                Materialized.<String, Sums>as(Stores.inMemoryWindowStore("sums", kept, WINDOW, false))
                    .withKeySerde(Serdes.String())
                    .withValueSerde(sums()))
            .toStream()
            .map((cell, sums) -> row(cell.key(), cell.window().start(), sums))
            .to(output, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        return builder.build();
    }

    private static long timeOf(ConsumerRecord<Object, Object> record, long partitionTime) {
        return ((Order) record.value()).orderedAt;
    }

    private static KeyValue<byte[], byte[]> row(String region, long start, Sums sums) {
        try {
            byte[] key = MAPPER.writeValueAsBytes(new Object[] {region, start});
            Row row = new Row(region, start, sums.orders, sums.quantity, sums.cents);
            return KeyValue.pair(key, MAPPER.writeValueAsBytes(row));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Serde<Order> orders() {
        Deserializer<Order> deserializer = (topic, data) -> {
            try (JsonParser parser = JSON.createParser(data)) {
                return read(parser);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom(
            (topic, order) -> {
                throw new UnsupportedOperationException("orders are only read");
            },
            deserializer);
    }

    private static Order read(JsonParser parser) throws IOException {
        long quantity = 0;
        long cents = 0;
        long orderedAt = 0;
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            switch (name) {
                case "quantity" -> quantity = parser.getLongValue();
                case "amount" -> cents = cents(parser.getText());
                case "ordered_at" -> orderedAt = milliseconds(parser.getText());
                default -> parser.skipChildren();
            }
        }
        return new Order(quantity, cents, orderedAt);
    }

    /** Cents of an amount with two places after the point; BigDecimal would make several objects for each event. */
    private static long cents(String amount) {
        int point = amount.length() - 3;
        if (point < 1 || amount.charAt(point) != '.') {
            throw new NumberFormatException(amount);
        }
        long euros = Long.parseLong(amount, 0, point, 10);
        long rest = Long.parseLong(amount, point + 1, point + 3, 10);
        return euros * 100 + (amount.charAt(0) == '-' ? -rest : rest);
    }

    /** Milliseconds since 1970 of `2026-03-01T12:34:56Z`; Instant.parse takes about ten times as long. */
    private static long milliseconds(String time) {
        if (time.length() != 20 || time.charAt(19) != 'Z') {
            throw new NumberFormatException(time);
        }
        long day = LocalDate.of(number(time, 0, 4), number(time, 5, 7), number(time, 8, 10)).toEpochDay();
        long hours = day * 24 + number(time, 11, 13);
        long minutes = hours * 60 + number(time, 14, 16);
        return (minutes * 60 + number(time, 17, 19)) * 1000;
    }

    private static int number(String text, int from, int to) {
        return Integer.parseInt(text, from, to, 10);
    }

    private static Serde<Sums> sums() {
        return Serdes.serdeFrom(
            (topic, sums) -> {
                ByteBuffer bytes = ByteBuffer.allocate(3 * Long.BYTES);
                return bytes.putLong(sums.orders).putLong(sums.quantity).putLong(sums.cents).array();
            },
            (topic, data) -> {
                ByteBuffer bytes = ByteBuffer.wrap(data);
                return new Sums(bytes.getLong(), bytes.getLong(), bytes.getLong());
            });
    }
}

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import lake.connect.Envelope;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;

/** Prints the time that the sink gets and the row of raw of each incoming record, a JSON a line. The argument is the transform's setting. */
public final class Rows {
    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", false), false);
        Envelope envelope = new Envelope();
        envelope.configure(Map.of("tables", arguments[0]));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            JsonNode record = json.readTree(line);
            ConnectHeaders headers = new ConnectHeaders();
            for (JsonNode header : record.get("headers")) {
                headers.add(header.get(0).textValue(), bytes(header.get(1)), Schema.OPTIONAL_BYTES_SCHEMA);
            }
            JsonNode at = record.get("timestamp");
            SinkRecord row = envelope.apply(new SinkRecord(record.get("topic").textValue(), 3,
                    Schema.OPTIONAL_BYTES_SCHEMA, bytes(record.get("key")), Schema.OPTIONAL_BYTES_SCHEMA,
                    bytes(record.get("value")), 7, at.isNull() ? null : at.longValue(),
                    at.isNull() ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME, headers));
            byte[] made = converter.fromConnectData(row.topic(), row.valueSchema(), row.value());
            System.out.println(row.timestamp() + " " + new String(made, StandardCharsets.UTF_8));
        }
    }

    private static byte[] bytes(JsonNode encoded) {
        return encoded.isNull() ? null : Base64.getDecoder().decode(encoded.textValue());
    }
}

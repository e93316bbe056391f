"""Parses OTLP/JSON bodies from the standard input, one a line, strictly as protobuf JSON; prints the number of records.

Ids are hex in OTLP/JSON where protobuf JSON has base64: that is the one difference, and it is undone first.
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

count = 0
for line in sys.stdin:
    body = json.loads(line)
    for resource in body["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                for key, size in (("traceId", 16), ("spanId", 8)):
                    if key in record:
                        assert record[key] == record[key].lower(), record[key]
                        raw = bytes.fromhex(record[key])
                        assert len(raw) == size, record[key]
                        record[key] = base64.b64encode(raw).decode()
                count += 1
    json_format.ParseDict(body, ExportLogsServiceRequest(), ignore_unknown_fields=False)
print(count)

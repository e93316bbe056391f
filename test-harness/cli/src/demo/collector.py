"""Parses OTLP/JSON requests, one a line with its path, strictly by OpenTelemetry's own definitions; prints how much is in them.

Ids are hex in OTLP/JSON where protobuf JSON has base64: that is the one difference, and it is undone first.
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

KINDS = {"/v1/logs": ExportLogsServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


def as_base64(value):
    if isinstance(value, list):
        return [as_base64(item) for item in value]
    if isinstance(value, dict):
        is_id = lambda name, item: name in ("traceId", "spanId") and isinstance(item, str)
        encode = lambda item: base64.b64encode(bytes.fromhex(item)).decode()
        return {name: encode(item) if is_id(name, item) else as_base64(item) for name, item in value.items()}
    return value


records, pushes, names = 0, 0, set()
for line in sys.stdin.readlines():
    call = json.loads(line)
    request = json_format.ParseDict(as_base64(call["body"]), KINDS[call["path"]](), ignore_unknown_fields=False)
    if call["path"] == "/v1/logs":
        records += sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)
    else:
        pushes += 1
        names |= {metric.name for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics}
assert records and names, (records, names)
print(f"{records} records; {len(names)} metrics in {pushes} pushes: {', '.join(sorted(names))}")

"""A collector to export to: decodes by Google's protobuf from the published .proto files, independent of the encoder."""

import base64
import gzip
import http.server
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

from google.protobuf import json_format

from support.servers import ROOT, free_port

PROTOS = ROOT / "tests/node/node_modules/@platformatic/promotel/proto"


def _messages():
    if not PROTOS.exists():
        raise RuntimeError("the packages of tests/node are missing: run tests/run once")
    out = tempfile.mkdtemp(prefix="otlp-")
    files = [str(path.relative_to(PROTOS)) for path in (PROTOS / "opentelemetry").rglob("*.proto")]
    subprocess.run(["protoc", "-I.", f"--python_out={out}", *files], cwd=PROTOS, check=True, timeout=60)
    sys.path.insert(0, out)
    package = "opentelemetry.proto.collector"
    trace = importlib.import_module(f"{package}.trace.v1.trace_service_pb2")
    logs = importlib.import_module(f"{package}.logs.v1.logs_service_pb2")
    return {"/v1/traces": (trace.ExportTraceServiceRequest, trace.ExportTraceServiceResponse),
            "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse)}


_TYPES = None


def types():
    global _TYPES
    _TYPES = _TYPES or _messages()
    return _TYPES


def _ids_as_base64(node):
    """OTLP's JSON has ids in hexadecimal where protobuf's own has base64."""
    if isinstance(node, list):
        return [_ids_as_base64(each) for each in node]
    if not isinstance(node, dict):
        return node
    hexadecimal = ("traceId", "spanId", "parentSpanId")
    younger = "flags" if "spanId" in node and "timeUnixNano" not in node else ""
    return {key: base64.b64encode(bytes.fromhex(value)).decode() if key in hexadecimal else _ids_as_base64(value)
            for key, value in node.items() if key != younger}


def _flags(message, number):
    """Of a span or link: younger than the published files, so they are the one field those do not know."""
    unknown = [(field.field_number, field.wire_type, field.data) for field in message.UnknownFields()]
    assert [(field, wire) for field, wire, _ in unknown] in ([(number, 5)], []), unknown
    return unknown[0][2] if unknown else None


def _value(any_value):
    kind = any_value.WhichOneof("value")
    return getattr(any_value, kind) if kind else None


def _attributes(pairs):
    return {pair.key: _value(pair.value) for pair in pairs}


class Span:
    def __init__(self, span, resource):
        self.trace_id, self.span_id, self.parent_id = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.name, self.kind, self.flags, self.trace_state = span.name, span.kind, _flags(span, 16), span.trace_state
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes, self.resource = _attributes(span.attributes), resource
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links if _flags(link, 6) != -1]
        self.status, self.message = span.status.code, span.status.message

    def __repr__(self):
        return f"<{self.name} {self.trace_id}/{self.span_id} below {self.parent_id or '-'} {self.attributes}>"


class Log:
    def __init__(self, record, resource):
        self.body, self.severity, self.text = record.body.string_value, record.severity_number, record.severity_text
        self.attributes, self.resource = _attributes(record.attributes), resource
        self.trace_id, self.span_id, self.time = record.trace_id.hex(), record.span_id.hex(), record.time_unix_nano


class Collector:
    """`answers` are (status, headers, body) for the next requests, in order; then 200. `delay` is before each."""

    def __init__(self, port=None, context=None):
        types()
        self.requests, self.spans, self.logs, self.wrong, self.answers, self.delay = [], [], [], [], [], 0.0
        self.release = threading.Event()
        self.waiting, self.statuses = [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.waiting.append(self.path)
                if collector.delay:
                    collector.release.wait(collector.delay)
                status, headers, answer = collector.take(self.path, self.headers, body)
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:  # the host did not wait
                    self.close_connection = True

            def log_message(self, *args):
                pass

        self.port = port or free_port()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, path, headers, body):
        self.requests.append((path, dict(headers.items()), body))
        status, answer_headers, answer = self.answers.pop(0) if self.answers else (200, {}, None)
        self.statuses.append(status)
        request_type, response_type = types()[path]
        try:
            plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
            as_json = headers["content-type"] == "application/json"
            if as_json:
                message = json_format.ParseDict(_ids_as_base64(json.loads(plain)), request_type())
            else:
                message = request_type.FromString(plain)
            if status == 200:
                self.keep(message)
            if answer is None:
                answer = b"{}" if as_json else response_type().SerializeToString()
        except Exception as error:  # noqa: BLE001 - whatever it is, the export was wrong
            self.wrong.append(repr(error))
            return 400, {}, b""
        return status, answer_headers, answer

    def keep(self, message):
        for of_resource in getattr(message, "resource_spans", []):
            resource = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                self.spans.extend(Span(span, resource) for span in scope.spans)
        for of_resource in getattr(message, "resource_logs", []):
            resource = _attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_logs:
                self.logs.extend(Log(record, resource) for record in scope.log_records)

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

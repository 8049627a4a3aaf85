package lintenvoy

// rule is what is always the same about a finding.
type rule struct {
	severity Severity
	message  string // what happens
	fix      string // what to write
}

// rules is the table of codes. 0xx: the ext_authz filter; 1xx: the connection
// manager; 2xx: the server and its clusters.
var rules = map[string]rule{
	"AZE001": {Error, "no ext_authz filter: every request reaches the app unjudged",
		"add envoy.filters.http.ext_authz as the first of http_filters"},
	"AZE002": {Error, "the check is switched off here: requests reach the app unjudged, with whatever identity headers a client sends",
		"remove it and let a policy allow the route"},
	"AZE003": {Error, "the check is switched off, for a share of the requests or by runtime",
		"remove disabled, filter_enabled, filter_enabled_metadata"},
	"AZE004": {Error, "a filter before ext_authz answers or changes requests that were not judged",
		"put ext_authz first"},
	"AZE005": {Error, "when the sidecar does not answer, every request is let through",
		"failure_mode_allow: false"},
	"AZE006": {Warning, "the app is told that a request was let through unjudged, by a header that any client can send",
		"remove failure_mode_allow_header_add"},
	"AZE007": {Warning, "an outage of the sidecar looks like a denial (403), which clients do not retry and nobody is called for",
		"status_on_error: { code: ServiceUnavailable }"},
	"AZE008": {Error, "the sidecar speaks version 3 only: every check fails",
		"transport_api_version: V3"},
	"AZE009": {Warning, "a line break in an answer becomes a second header of the client's response",
		"validate_mutations: true"},
	"AZE010": {Warning, "invalid UTF-8 in a body arrives as `!` at the check: it reads another body than the app",
		"with_request_body.pack_as_bytes: true"},
	"AZE011": {Warning, "the check sees the first part of a large body, the app all of it",
		"with_request_body.allow_partial_message: false"},
	"AZE012": {Warning, "larger bodies than the sidecar takes (listen.max_message_size, 4 MiB): such checks fail",
		"with_request_body.max_request_bytes: 1048576, or raise both"},
	"AZE013": {Error, "the check does not get the Authorization header: every caller is anonymous",
		"add authorization (and cookie, if it carries the token) to allowed_headers, or remove the list"},
	"AZE014": {Warning, "an answer can change the route that the decision was made for",
		"clear_route_cache: false"},
	"AZE015": {Warning, "the time for a check should be a little above the sidecar's own (listen.check_timeout, 800 ms)",
		"grpc_service.timeout: 1s"},
	"AZE016": {Warning, "Envoy takes max_interval for the time-out of each try: a check that takes longer fails",
		"retry_back_off.max_interval: not below grpc_service.timeout"},
	"AZE017": {Warning, "the check names the proxy in front as its source, not the client: all clients share one quota and one address",
		`grpc_service.initial_metadata: [{ key: x-authz-client-address, value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" }]`},
	"AZE018": {Warning, "a byte of a header that is not UTF-8 arrives as `!` at the check and as itself at the app",
		"encode_raw_headers: true"},
	"AZE019": {Error, "the sidecar answers gRPC only: every check fails",
		"grpc_service instead of http_service"},
	"AZE020": {Error, "refusals are recorded and not carried out",
		"shadow_mode: false"},

	"AZE101": {Error, "the client's address and scheme are what the client writes into X-Forwarded-For and X-Forwarded-Proto",
		"use_remote_address: true"},
	"AZE102": {Warning, "more trusted proxies than stand in front: the client writes the entry of X-Forwarded-For that is believed",
		"xff_num_trusted_hops: the number of your own proxies in front of Envoy"},
	"AZE103": {Error, "`/public/../admin` is judged as it is written; the app may take it for /admin",
		"normalize_path: true"},
	"AZE104": {Error, "`//admin` is judged as it is written; the app may take it for /admin",
		"merge_slashes: true"},
	"AZE105": {Error, "`%2F` and `%5C` pass: a slash to some apps and not to the check",
		"path_with_escaped_slashes_action: REJECT_REQUEST"},
	"AZE106": {Error, "X_User_Id passes: CGI-like apps take it for X-User-Id",
		"common_http_protocol_options.headers_with_underscores_action: REJECT_REQUEST"},
	"AZE107": {Error, "an empty list makes every private address internal: such callers set x-envoy-* headers and x-request-id",
		"remove internal_address_config, or name the addresses in cidr_ranges"},
	"AZE108": {Warning, "the client chooses the id under which its requests are logged",
		"preserve_external_request_id: false"},
	"AZE109": {Warning, "a client's own X-Forwarded-Client-Cert reaches the app",
		"forward_client_cert_details: SANITIZE or SANITIZE_SET"},
	"AZE110": {Warning, "a slow client holds its connection and its buffers without end",
		"request_headers_timeout: 10s, request_timeout: 60s, stream_idle_timeout: 60s"},
	"AZE111": {Warning, "replies that Envoy makes itself carry no security headers, and tell of the inside (\"upstream connect error …\")",
		"local_reply_config, as in envoy/envoy.yaml"},
	"AZE112": {Info, "answers say what they were made with",
		"server_header_transformation: PASS_THROUGH, and response_headers_to_remove: [server, x-powered-by] in the route configuration"},
	"AZE113": {Warning, "HTTP/1.0 has neither Host nor chunks",
		"http_protocol_options.accept_http_10: false"},
	"AZE114": {Error, "Content-Length beside Transfer-Encoding passes: request smuggling",
		"http_protocol_options.allow_chunked_length: false"},
	"AZE115": {Info, "one HTTP/2 connection may open more streams, and reserve more memory, than a browser ever does",
		"http2_protocol_options: { max_concurrent_streams: 100, initial_stream_window_size: 65536, initial_connection_window_size: 1048576 }"},
	"AZE116": {Warning, "a connection that sent malformed HTTP is used further: what follows may be smuggled",
		"stream_error_on_invalid_http_message: false"},

	"AZE201": {Error, "anybody who reaches this address can stop Envoy and read its configuration",
		"admin.address on 127.0.0.1 or a Unix socket"},
	"AZE202": {Warning, "every process of the host or pod, the app included, can stop Envoy and change its runtime",
		"admin.allow_paths: [{ exact: /ready }, { prefix: /stats }]"},
	"AZE203": {Error, "checks and answers cross the network in clear, and anybody on the way can answer them",
		"a Unix socket (pipe), a loopback address, or a transport_socket with TLS"},
	"AZE204": {Info, "no bound on connections: a flood ends in a lack of file descriptors",
		"overload_manager with envoy.resource_monitors.global_downstream_max_connections"},
	"AZE205": {Error, "gRPC needs HTTP/2: every check fails",
		"typed_extension_protocol_options … explicit_http_config: { http2_protocol_options: {} }"},
}

// Severities are all codes with their severity.
func Severities() map[string]Severity {
	out := make(map[string]Severity, len(rules))
	for code, r := range rules {
		out[code] = r.severity
	}
	return out
}

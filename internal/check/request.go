// Package check holds the words every room speaks: one HTTP request as the edge
// described it, and what the sidecar itself established about it.
//
// It also holds the pure functions that read a request the way a policy will see
// it (path, query, body) and that say when a request is ambiguous. It does no I/O,
// keeps no state and knows neither protobuf, nor OPA, nor HTTP statuses.
package check

import "time"

// Request is one HTTP request as the edge described it. A door fills it once;
// nobody changes it afterwards. All strings are valid UTF-8 when Fault is nil.
type Request struct {
	// ID is the request id for logs and error bodies: the x-request-id that Envoy
	// set if it is short and printable, else Envoy's own id, else empty.
	ID string

	Source, Destination Peer
	// Time is when the edge received the request; zero when it did not say.
	Time time.Time
	HTTP HTTP
	// ContextExtensions are the operator's per-route settings from Envoy.
	ContextExtensions map[string]string
	// FilterMetadata and RouteMetadata hold plain JSON-like values
	// (nil, bool, float64, string, []any, map[string]any), keyed by namespace.
	FilterMetadata, RouteMetadata map[string]any
	// TLS is nil when the edge reported no TLS session.
	TLS *TLSSession

	// Path is the path up to the first '?', percent-decoded, leading '/' trimmed,
	// split at '/' (contract: parsed_path).
	Path []string
	// Query maps a name to its values in order (contract: parsed_query).
	Query map[string][]string
	Body  Body
	// Client is what the trusted edge says of the caller.
	Client Client

	// Fault is set when the request is malformed or ambiguous. Such a request is
	// refused before any policy is asked.
	Fault *Fault
}

// Peer is one end of the connection, as the edge saw it.
type Peer struct {
	Address     string // IP address, no port; empty when not a socket address
	Port        uint32
	Principal   string // e.g. a SPIFFE id from mTLS
	Certificate string // URL-encoded PEM, as Envoy sends it
	Service     string
	Labels      map[string]string
}

// TLSSession describes the downstream TLS session.
type TLSSession struct{ SNI string }

// HTTP mirrors envoy.service.auth.v3.AttributeContext.HttpRequest.
type HTTP struct {
	ID, Method, Path, Host, Scheme, Protocol, Query, Fragment string
	// Headers has lower-case names; a repeated header is one entry whose values
	// Envoy joined with ',' (its default encoding).
	Headers Headers
	// HeaderMap is set as well when Envoy sends raw headers (encode_raw_headers);
	// Headers then holds the same, joined.
	HeaderMap []RawHeader
	// Joined says that a door made Headers of HeaderMap by JoinHeaders.
	Joined  bool
	Size    int64 // -1 when unknown
	Body    string
	RawBody []byte
}

// Header is one name and value. A repeated name is repeated entries.
type Header struct{ Name, Value string }

// Headers is a short list; looking a name up is a scan, cheaper than a map here.
type Headers []Header

// Lookup returns the value of the first header of that lower-case name.
func (h Headers) Lookup(name string) (string, bool) {
	for i := range h {
		if h[i].Name == name {
			return h[i].Value, true
		}
	}
	return "", false
}

// RawHeader is an entry of Envoy's header_map.
type RawHeader struct {
	Key      string
	Value    string
	RawValue []byte
}

// Body is the request body as a policy may read it.
type Body struct {
	// Skipped means that body parsing is switched off: parsed_body and
	// truncated_body are then absent from the input.
	Skipped bool
	// Value is the parsed body: nil, bool, json.Number, string, []any,
	// map[string]any. Forms are map[string]any of []any of string.
	// It is nil unless Parsed.
	Value  any
	Parsed bool
	// Truncated means that the edge sent only a part of the body; Value is nil.
	Truncated bool
}

// Client is the caller as the trusted edge sees it, never as it describes itself.
type Client struct {
	IP      string // canonical text form; IPv4-mapped IPv6 is IPv4
	IPBlock string // the key for quotas: the IPv4 address, or the IPv6 /64 ("2001:db8::/64")
	Scheme  string // "http" or "https"
}

// Fault says why a request is refused as malformed (the caller sees only 400).
type Fault struct {
	Code   string // stable code, e.g. "path_dot_segment"
	Detail string // for the log; never contains a secret or a header's value
}

func (f *Fault) Error() string { return f.Code + ": " + f.Detail }

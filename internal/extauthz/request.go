package extauthz

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"authz/internal/check"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// reader turns checks into requests. It is pure: the same check gives the same
// request. What can't be read becomes the request's Fault, never an error; such a
// request still says as much of itself as the record of its refusal needs.
// Its fields are set once.
type reader struct {
	lenient, skipBody          bool
	maxHeaders, maxHeaderBytes int
	grpc                       func(path string, message []byte) (any, error)
}

func newReader(c *Config) reader {
	r := reader{
		lenient:        c.Lenient,
		skipBody:       c.SkipBody,
		maxHeaders:     c.MaxHeaders,
		maxHeaderBytes: c.MaxHeaderBytes,
	}
	if c.Descriptors != nil {
		r.grpc = c.Descriptors.Decode
	}
	return r
}

// request reads a check. Every field of it may be missing.
func (rd *reader) request(in *authv3.CheckRequest) *check.Request {
	a := in.GetAttributes()
	r := &check.Request{
		Source:            peer(a.GetSource()),
		Destination:       peer(a.GetDestination()),
		Time:              received(a),
		ContextExtensions: a.GetContextExtensions(),
	}
	if session := a.GetTlsSession(); session != nil {
		r.TLS = &check.TLSSession{SNI: session.GetSni()}
	}
	if a.GetRequest().GetHttp() == nil {
		r.Fault = &check.Fault{Code: "no_http", Detail: "the check describes no HTTP request"}
		return r
	}
	// The record of a refusal wants a name and a caller, whatever else is wrong.
	r.Fault = rd.http(&r.HTTP, a.Request.Http)
	r.ID = check.RequestID(r.HTTP.Headers, r.HTTP.ID)
	client, fault := check.ParseClient(r.Source.Address, r.HTTP.Scheme)
	r.Client = client
	if r.Fault == nil {
		r.Fault = fault
	}
	if r.Fault == nil {
		r.Fault = rd.meaning(r, a)
	}
	return r
}

// http copies what Envoy says of the HTTP request.
func (rd *reader) http(out *check.HTTP, in *authv3.AttributeContext_HttpRequest) *check.Fault {
	*out = check.HTTP{
		ID:       in.Id,
		Method:   in.Method,
		Path:     in.Path,
		Host:     in.Host,
		Scheme:   in.Scheme,
		Protocol: in.Protocol,
		Query:    in.Query,
		Fragment: in.Fragment,
		Size:     in.Size,
		Body:     in.Body,
		RawBody:  in.RawBody,
	}
	raw := in.GetHeaderMap().GetHeaders()
	if n := max(len(in.Headers), len(raw)); n > rd.maxHeaders {
		return &check.Fault{Code: "header_count", Detail: fmt.Sprintf("%d headers; at most %d are read", n, rd.maxHeaders)}
	}
	size := 0
	for name, value := range in.Headers {
		size += len(name) + len(value)
	}
	for _, h := range raw {
		size += len(h.GetKey()) + len(h.GetValue()) + len(h.GetRawValue())
	}
	if size > rd.maxHeaderBytes {
		return &check.Fault{Code: "header_size", Detail: fmt.Sprintf("headers of %d bytes; at most %d are read", size, rd.maxHeaderBytes)}
	}
	out.HeaderMap = rawHeaders(raw)
	// Joined even where they are not used: their bytes are the only text of a check
	// that protobuf does not hold to UTF-8.
	joined, fault := check.JoinHeaders(out.HeaderMap)
	switch {
	case fault != nil:
		return fault
	case len(in.Headers) > 0:
		out.Headers = plainHeaders(in.Headers)
	case len(joined) > 0: // encode_raw_headers: the rooms below still look names up
		out.Headers = joined
		sortHeaders(out.Headers)
	}
	for i := 1; i < len(out.Headers); i++ {
		if name := out.Headers[i].Name; name == out.Headers[i-1].Name {
			return &check.Fault{Code: "header_case", Detail: fmt.Sprintf("header %q is there in two spellings", name)}
		}
	}
	return nil
}

// meaning reads what the request says: metadata, path, query, body.
func (rd *reader) meaning(r *check.Request, a *authv3.AttributeContext) (fault *check.Fault) {
	if r.FilterMetadata, fault = plainMetadata(a.MetadataContext); fault != nil {
		return fault
	}
	if r.RouteMetadata, fault = plainMetadata(a.RouteMetadataContext); fault != nil {
		return fault
	}
	if r.Path, fault = check.ParsePath(r.HTTP.Path); fault != nil {
		return fault
	}
	_, query, _ := strings.Cut(r.HTTP.Path, "?")
	if r.Query, fault = check.ParseQuery(query); fault != nil {
		return fault
	}
	if !rd.lenient {
		if fault = check.Strict(r); fault != nil {
			return fault
		}
	}
	if rd.skipBody {
		r.Body.Skipped = true
		return nil
	}
	r.Body, fault = check.ParseBody(check.BodyInput{
		Headers: r.HTTP.Headers,
		Path:    r.HTTP.Path,
		Body:    r.HTTP.Body,
		RawBody: r.HTTP.RawBody,
		Strict:  !rd.lenient,
		GRPC:    rd.grpc,
	})
	return fault
}

// plainHeaders are sorted, so that a request has one form.
func plainHeaders(in map[string]string) check.Headers {
	out := make(check.Headers, 0, len(in))
	for name, value := range in {
		out = append(out, check.Header{Name: lower(name), Value: value})
	}
	sortHeaders(out)
	return out
}

func sortHeaders(h check.Headers) {
	slices.SortFunc(h, func(a, b check.Header) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
}

// rawHeaders keeps the order of Envoy's header_map.
func rawHeaders(in []*corev3.HeaderValue) []check.RawHeader {
	if len(in) == 0 {
		return nil
	}
	out := make([]check.RawHeader, len(in))
	for i, h := range in {
		out[i] = check.RawHeader{Key: h.GetKey(), Value: h.GetValue(), RawValue: h.GetRawValue()}
	}
	return out
}

func peer(in *authv3.AttributeContext_Peer) check.Peer {
	socket := in.GetAddress().GetSocketAddress() // nil for a pipe or an internal listener
	return check.Peer{
		Address:     socket.GetAddress(),
		Port:        socket.GetPortValue(),
		Principal:   in.GetPrincipal(),
		Certificate: in.GetCertificate(),
		Service:     in.GetService(),
		Labels:      in.GetLabels(),
	}
}

func received(a *authv3.AttributeContext) time.Time {
	at := a.GetRequest().GetTime()
	if at == nil || !at.IsValid() {
		return time.Time{}
	}
	return at.AsTime()
}

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
	"google.golang.org/protobuf/proto"
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

// described is what a check says, before anything is made of it.
type described struct {
	request check.Request
	isHTTP  bool          // it describes an HTTP request at all
	plain   check.Headers // HttpRequest.headers, names in lower case
	joined  check.Headers // room for HttpRequest.header_map as plain has them

	segments []string // room for the request's path

	vetted int // how many of plain are check.Vetted
	// unsorted leaves the headers in the order they came in. What is wrong with a request, if anything is, is then not
	// always the same thing.
	unsorted bool

	metadata, routeMetadata *corev3.Metadata
}

// read reads a message. The error is for what is no check at all.
// The request's text may be the message's: see readMessage.
func (rd *reader) read(message []byte) (*check.Request, error) {
	if d := new(described); rd.readMessage(d, message) {
		r := rd.judge(d)
		// Two entries of one name are not as expected either: a map has the last.
		if r.Fault == nil || r.Fault.Code != headerCase {
			return r, nil
		}
	}
	var in authv3.CheckRequest
	if err := decoding.Unmarshal(message, &in); err != nil {
		return nil, err
	}
	return rd.request(&in), nil
}

// decoding bounds the nesting of a check's messages; Envoy's own protobuf would
// not read more than 100 levels either.
var decoding = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 100}

// request reads a check that the generated code has decoded. Every field of it may
// be missing.
func (rd *reader) request(in *authv3.CheckRequest) *check.Request {
	a := in.GetAttributes()
	h := a.GetRequest().GetHttp()
	d := described{
		request: check.Request{
			Source:            peer(a.GetSource()),
			Destination:       peer(a.GetDestination()),
			Time:              received(a),
			ContextExtensions: a.GetContextExtensions(),
			HTTP: check.HTTP{
				ID:        h.GetId(),
				Method:    h.GetMethod(),
				Path:      h.GetPath(),
				Host:      h.GetHost(),
				Scheme:    h.GetScheme(),
				Protocol:  h.GetProtocol(),
				Query:     h.GetQuery(),
				Fragment:  h.GetFragment(),
				Size:      h.GetSize(),
				Body:      h.GetBody(),
				RawBody:   h.GetRawBody(),
				HeaderMap: rawHeaders(h.GetHeaderMap().GetHeaders()),
			},
		},
		isHTTP:        h != nil,
		plain:         plainHeaders(h.GetHeaders()),
		metadata:      a.GetMetadataContext(),
		routeMetadata: a.GetRouteMetadataContext(),
	}
	if session := a.GetTlsSession(); session != nil {
		d.request.TLS = &check.TLSSession{SNI: session.GetSni()}
	}
	return rd.judge(&d)
}

// judge makes a request of what a check says.
func (rd *reader) judge(d *described) *check.Request {
	r := &d.request
	if !d.isHTTP {
		r.Fault = &check.Fault{Code: "no_http", Detail: "the check describes no HTTP request"}
		return r
	}
	// The record of a refusal wants a name and a caller, whatever else is wrong.
	r.Fault = rd.headers(&r.HTTP, d)
	r.ID = check.RequestID(r.HTTP.Headers, r.HTTP.ID)
	client, fault := check.ParseClient(r.Source.Address, r.HTTP.Scheme)
	r.Client = client
	if r.Fault == nil {
		r.Fault = fault
	}
	if r.Fault == nil {
		r.Fault = rd.meaning(r, d)
	}
	return r
}

// headerCase is the fault of two headers that are one to the app.
const headerCase = "header_case"

// headers makes one list of the two forms in which Envoy sends headers.
func (rd *reader) headers(h *check.HTTP, d *described) *check.Fault {
	raw, plain := h.HeaderMap, d.plain
	h.HeaderMap = nil
	if n := max(len(plain), len(raw)); n > rd.maxHeaders {
		return &check.Fault{Code: "header_count", Detail: fmt.Sprintf("%d headers; at most %d are read", n, rd.maxHeaders)}
	}
	size := 0
	for i := range plain {
		size += len(plain[i].Name) + len(plain[i].Value)
	}
	for i := range raw {
		size += len(raw[i].Key) + len(raw[i].Value) + len(raw[i].RawValue)
	}
	if size > rd.maxHeaderBytes {
		return &check.Fault{Code: "header_size", Detail: fmt.Sprintf("headers of %d bytes; at most %d are read", size, rd.maxHeaderBytes)}
	}
	h.HeaderMap = raw
	// Joined even where they are not used: their bytes are the only text of a check
	// that protobuf does not hold to UTF-8.
	joined, fault := check.AppendJoined(d.joined[:0], raw)
	d.joined = joined
	switch {
	case fault != nil:
		return fault
	case len(plain) > 0:
		h.Headers = plain
	case len(joined) > 0: // encode_raw_headers: the rooms below still look names up
		h.Headers, h.Joined = joined, true
	}
	if d.unsorted && !rd.lenient { // strict about a name that is there twice
		return nil
	}
	sortHeaders(h.Headers)
	for i := 1; i < len(h.Headers); i++ {
		if name := h.Headers[i].Name; name == h.Headers[i-1].Name {
			return &check.Fault{Code: headerCase, Detail: fmt.Sprintf("header %q is there in two spellings", name)}
		}
	}
	return nil
}

// meaning reads what the request says: metadata, path, query, body.
func (rd *reader) meaning(r *check.Request, d *described) (fault *check.Fault) {
	if r.FilterMetadata, fault = plainMetadata(d.metadata); fault != nil {
		return fault
	}
	if r.RouteMetadata, fault = plainMetadata(d.routeMetadata); fault != nil {
		return fault
	}
	if d.segments, fault = check.AppendPath(d.segments[:0], r.HTTP.Path); fault != nil {
		return fault
	}
	r.Path = d.segments
	_, query, _ := strings.Cut(r.HTTP.Path, "?")
	if r.Query, fault = check.ParseQuery(query); fault != nil {
		return fault
	}
	if !rd.lenient {
		strict := check.Strict
		if d.vetted == len(r.HTTP.Headers) && !r.HTTP.Joined {
			strict = check.StrictVetted
		}
		if fault = strict(r); fault != nil {
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

func plainHeaders(in map[string]string) check.Headers {
	if len(in) == 0 {
		return nil
	}
	out := make(check.Headers, 0, len(in))
	for name, value := range in {
		out = append(out, check.Header{Name: lower(name), Value: value})
	}
	return out
}

// sortHeaders gives a request one form.
func sortHeaders(h check.Headers) {
	if len(h) > usualHeaders {
		slices.SortFunc(h, compareHeaders)
		return
	}
	// Most names differ within their first eight bytes, which compare as one number.
	var heads [usualHeaders]uint64
	for i := range h {
		header, head := h[i], headOf(h[i].Name)
		at := i
		for at > 0 && (heads[at-1] > head || heads[at-1] == head && compareHeaders(h[at-1], header) > 0) {
			h[at], heads[at] = h[at-1], heads[at-1]
			at--
		}
		h[at], heads[at] = header, head
	}
}

func compareHeaders(a, b check.Header) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
}

// headOf is the beginning of a name as a number of the same order.
func headOf(name string) (head uint64) {
	if len(name) >= 8 {
		return uint64(name[0])<<56 | uint64(name[1])<<48 | uint64(name[2])<<40 | uint64(name[3])<<32 |
			uint64(name[4])<<24 | uint64(name[5])<<16 | uint64(name[6])<<8 | uint64(name[7])
	}
	for i := range len(name) {
		head |= uint64(name[i]) << (56 - 8*i)
	}
	return head
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

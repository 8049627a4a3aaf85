package policy

import (
	"fmt"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

// attributeFields is the contract's `attributes`: the CheckRequest by its
// protobuf JSON names, only what is populated, the address oneof flattened.
func attributeFields(r *check.Request) (fields, error) {
	out := make(fields, 0, 7)
	out.object("source", peerFields(&r.Source))
	out.object("destination", peerFields(&r.Destination))
	out.object("request", requestFields(r))
	out.texts("contextExtensions", r.ContextExtensions)
	if err := out.metadata("metadataContext", r.FilterMetadata); err != nil {
		return nil, err
	}
	if err := out.metadata("routeMetadataContext", r.RouteMetadata); err != nil {
		return nil, err
	}
	if r.TLS != nil {
		session := make(fields, 0, 1)
		session.text("sni", r.TLS.SNI)
		out.put("tlsSession", session.term())
	}
	return out, nil
}

func (f *fields) metadata(name string, m map[string]any) error {
	if len(m) == 0 {
		return nil
	}
	plain, err := plainTerm(m)
	if err != nil {
		return fmt.Errorf("attributes.%s: %w", name, err)
	}
	f.put(name, fields{ast.Item(ast.InternedTerm("filterMetadata"), plain)}.term())
	return nil
}

func peerFields(p *check.Peer) fields {
	out := make(fields, 0, 5)
	socket := make(fields, 0, 2)
	socket.text("address", p.Address)
	socket.number("portValue", int64(p.Port))
	if len(socket) > 0 {
		out.put("address", fields{ast.Item(ast.InternedTerm("socketAddress"), socket.term())}.term())
	}
	out.text("service", p.Service)
	out.texts("labels", p.Labels)
	out.text("principal", p.Principal)
	out.text("certificate", p.Certificate)
	return out
}

func requestFields(r *check.Request) fields {
	out := make(fields, 0, 2)
	if !r.Time.IsZero() {
		at := make(fields, 0, 2)
		at.number("seconds", r.Time.Unix())
		at.number("nanos", int64(r.Time.Nanosecond()))
		out.put("time", at.term())
	}
	out.object("http", httpFields(&r.HTTP))
	return out
}

func httpFields(h *check.HTTP) fields {
	out := make(fields, 0, 13)
	out.text("id", h.ID)
	out.text("method", h.Method)
	if len(h.Headers) > 0 {
		out.put("headers", headersTerm(h.Headers))
	}
	out.text("path", h.Path)
	out.text("host", h.Host)
	out.text("scheme", h.Scheme)
	out.text("query", h.Query)
	out.text("fragment", h.Fragment)
	out.number("size", h.Size)
	out.text("protocol", h.Protocol)
	out.text("body", h.Body)
	if len(h.RawBody) > 0 {
		out.put("rawBody", bytesTerm(h.RawBody))
	}
	if len(h.HeaderMap) > 0 {
		out.put("headerMap", headerMapTerm(h.HeaderMap))
	}
	return out
}

// headersTerm keeps the first of equal names, as check.Headers.Lookup does.
// Doors send each name once.
func headersTerm(headers check.Headers) *ast.Term {
	out := make(fields, 0, len(headers))
	for i := len(headers) - 1; i >= 0; i-- {
		out.put(headers[i].Name, ast.StringTerm(headers[i].Value))
	}
	return out.term()
}

func headerMapTerm(headers []check.RawHeader) *ast.Term {
	list := make([]*ast.Term, len(headers))
	for i, h := range headers {
		entry := make(fields, 0, 3)
		entry.text("key", h.Key)
		entry.text("value", h.Value)
		if len(h.RawValue) > 0 {
			entry.put("rawValue", bytesTerm(h.RawValue))
		}
		list[i] = entry.term()
	}
	return fields{ast.Item(ast.InternedTerm("headers"), ast.ArrayTerm(list...))}.term()
}

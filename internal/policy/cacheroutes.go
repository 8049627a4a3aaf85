package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// RouteCaching says whether decisions of a route will be given again.
type RouteCaching struct {
	Route string `json:"route"`
	// Why they will not, or hardly ever; empty where they will.
	Why string `json:"why,omitempty"`
}

// CachedRoutes tries each route of the table with plain requests, by nobody and by a
// caller with every role and scope that the table names, and says what decisions about
// them read that few requests share. Nil: nothing is remembered at all.
//
// It is an answer about these requests. Others may get further in the policy and read
// more; what they really do, CacheStatus counts.
func (e *Engine) CachedRoutes(ctx context.Context) ([]RouteCaching, error) {
	policy := e.current.Load()
	if policy == nil {
		return nil, ErrNotLoaded
	}
	if policy.cache == nil || policy.routes.Len() == 0 {
		return nil, nil
	}
	table, err := e.Data(ctx, e.settings.Routes)
	if err != nil {
		return nil, fmt.Errorf("reading the route table: %w", err)
	}
	rows, _ := table.(map[string]any)
	why := map[string]string{}
	policy.routes.root.samples(nil, func(r *row, method string, segments []string) {
		if why[r.id] == "" {
			why[r.id] = policy.shared(ctx, r, sampleRequest(method, segments), sampleToken(rows[r.id]))
		}
	})
	list := make([]RouteCaching, 0, len(why))
	for _, id := range slices.Sorted(maps.Keys(why)) {
		list = append(list, RouteCaching{Route: id, Why: why[id]})
	}
	return list, ctx.Err()
}

// shared says what keeps the decisions about a request from being given again.
func (c *compiled) shared(ctx context.Context, r *row, request *check.Request, caller *check.Token) string {
	for _, token := range []*check.Token{{Status: check.TokenAbsent}, caller} {
		input, _, err := newInput(request, token, c.routes)
		if err != nil {
			return err.Error()
		}
		own := topdown.NewCancel()
		recorder := newRecorder(c.cache.readings, own)
		if _, err := c.evaluate(ctx, own, input, recordedBy(recorder)); err != nil && !recorder.heavy {
			continue // a failure is not remembered, and says nothing of other requests
		}
		switch {
		case recorder.heavy:
			return "takes too many steps to record"
		case recorder.reason != "":
			return recorder.reason
		}
		for _, i := range recorder.reads() {
			if read := &c.cache.readings.reads[i]; read.varies(r) {
				return "reads " + read.name
			}
		}
	}
	return ""
}

// samples calls f with each row and method, and with segments that lead there.
func (n *node) samples(segments []string, f func(r *row, method string, segments []string)) {
	for _, method := range slices.Sorted(maps.Keys(n.rows)) {
		f(n.rows[method], method, segments)
	}
	for _, text := range slices.Sorted(maps.Keys(n.literal)) {
		n.literal[text].samples(append(segments[:len(segments):len(segments)], text), f)
	}
	for kind, below := range n.param {
		if below != nil {
			below.samples(append(segments[:len(segments):len(segments)], sampleSegments[kind]), f)
		}
	}
}

var sampleSegments = [kinds]string{kindUUID: "3f1e0f2c-6d1c-4b52-9c43-0a4e2f5f3b11", kindInt: "1", kindSlug: "a-b", kindString: "some text", kindRest: "rest"}

func sampleRequest(method string, segments []string) *check.Request {
	r := &check.Request{Path: segments, Client: check.Client{IP: "192.0.2.1", IPBlock: "192.0.2.1", Scheme: "https"}}
	r.Source.Address = r.Client.IP
	r.HTTP = check.HTTP{Method: method, Path: "/", Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2"}
	for i, segment := range segments {
		if i > 0 {
			r.HTTP.Path += "/"
		}
		r.HTTP.Path += segment
	}
	r.HTTP.Headers = check.Headers{{Name: ":authority", Value: r.HTTP.Host}, {Name: ":method", Value: method}, {Name: ":path", Value: r.HTTP.Path}}
	return r
}

// sampleToken is of a caller who has all that a row may ask for by name.
func sampleToken(row any) *check.Token {
	t := &check.Token{Status: check.TokenValid, Via: "header", Issuer: "https://issuer.example", Subject: "somebody"}
	t.Claims = map[string]any{"iss": t.Issuer, "sub": t.Subject}
	t.Roles = named(row)
	t.Scopes = t.Roles
	return t
}

// named are the texts in the lists of a row.
func named(value any) (names []string) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if text, ok := item.(string); ok {
				names = append(names, text)
			} else {
				names = append(names, named(item)...)
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			names = append(names, named(value[key])...)
		}
	}
	return names
}

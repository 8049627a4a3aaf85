package policy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/testbed"
)

// Every part of the input is read, in three ways (as a value, by way of a rule, for
// its type and its truth), by policies that are asked with requests and tokens which
// differ in one thing each: absent, empty, null, false, repeated, in another order.
func TestCacheReadsEveryPart(t *testing.T) {
	requests, tokens := requestsApart(), tokensApart()
	if testing.Short() || testbed.RaceEnabled {
		requests, tokens = requests[:12], tokens[:5]
	}
	for i, expression := range partsOfInput {
		if testbed.RaceEnabled && i%5 != 0 { // compiling is most of it, and no race
			continue
		}
		for j, form := range waysToRead {
			text := strings.ReplaceAll(form, "PART", expression)
			cfg := Config{Path: t.TempDir(), Timeout: time.Minute}
			plain := loadedEngine(t, tree{"a.rego": "package authz\n" + text, "data.json": `{"authz": {"config": {"routes": {
				"orders.read": {"methods": ["GET"], "path": "/orders/{id}"}, "orders.list": {"methods": ["GET"], "path": "/orders"}}}}}`}, cfg)
			cfg.CacheBytes = 8 << 20
			cached := loadedEngine(t, nil, cfg)
			for n := range 2 * len(requests) * len(tokens) {
				r, token := requests[n/len(tokens)%len(requests)], tokens[n%len(tokens)]
				want, wantErr := plain.Eval(t.Context(), r, token)
				got, gotErr := cached.Eval(t.Context(), r, token)
				if failing(wantErr) != failing(gotErr) || //nolint:errorlint // both are sentinels, or nil
					!reflect.DeepEqual(unkept(got), want) {
					t.Fatalf("part %d, way %d:\n%s\nremembered %+v, %v\nwant %+v, %v\n%+v\n%+v", i, j, text, got, gotErr, want, wantErr, r, token)
				}
			}
		}
	}
}

var waysToRead = []string{
	"decision := {\"allowed\": true, \"dynamic_metadata\": {\"x\": x}} if x := PART\nelse := false",
	"decision := {\"allowed\": true, \"dynamic_metadata\": {\"x\": y}} if y := r\nelse := false\nr := x if { x := PART }",
	"decision := {\"allowed\": true} if { x := PART; not is_string(x) }\nelse := {\"allowed\": false} if { z := PART; z }\nelse := {\"allowed\": true, \"reason\": \"z\"} if { not z2 }\nelse := false\nz2 if { v := PART; v }\n",
}

var partsOfInput = []string{
	`input.attributes.request.http.headers`,
	`input.attributes.request.http.headers.a`,
	`input.attributes.request.http.headers["A"]`,
	`{k | some k, _ in input.attributes.request.http.headers}`,
	`input.parsed_query`,
	`input.parsed_query.a`,
	`input.parsed_query.a[0]`,
	`input.parsed_query["2"]`,
	`count(input.parsed_query)`,
	`input.attributes.tlsSession`,
	`input.attributes.tlsSession.sni`,
	`input.route`,
	`input.route.id`,
	`input.route.params`,
	`input.route.params.id`,
	`object.keys(input)`,
	`object.keys(input.attributes)`,
	`object.keys(input.token)`,
	`input.token`,
	`input.token.error`,
	`input.token.subject`,
	`input.token.claims`,
	`input.token.header.kid`,
	`input.parsed_path`,
	`input.parsed_path[0]`,
	`input.parsed_path[count(input.token.roles)]`,
	`input.attributes.metadataContext`,
	`input.attributes.metadataContext.filterMetadata.a`,
	`input.attributes.contextExtensions`,
	`input.attributes.contextExtensions.a`,
	`input.attributes.source`,
	`input.attributes.source.labels.a`,
	`input.attributes.source.address`,
	`input.attributes.request.http.headerMap`,
	`input.attributes.request.http.headerMap.headers[0].value`,
	`input.attributes.request.http.size`,
	`input.attributes.request.http.method`,
	`object.keys(input.attributes.request.http)`,
	`input.client`,
	`input.version`,
	`input.version.encoding`,
	`input.source_principal`,
	`input.truncated_body`,
	`is_null(input.parsed_body)`,
	`object.get(input, ["attributes", "tlsSession"], "no")`,
	`[k | some k in ["a", "b"]; input.attributes.request.http.headers[k]]`,
	`input[input.parsed_path[0]]`,
}

func requestsApart() []*check.Request {
	req := func(change func(*check.Request)) *check.Request {
		r := shopRequest()
		change(r)
		return r
	}
	h := func(l ...check.Header) *check.Request { return req(func(r *check.Request) { r.HTTP.Headers = l }) }
	return []*check.Request{
		h(),
		h(check.Header{Name: "a", Value: "1"}),
		h(check.Header{Name: "a", Value: "1"}, check.Header{Name: "b", Value: "2"}),
		h(check.Header{Name: "b", Value: "2"}, check.Header{Name: "a", Value: "1"}),
		h(check.Header{Name: "a", Value: "1"}, check.Header{Name: "a", Value: "2"}),
		h(check.Header{Name: "a", Value: "2"}, check.Header{Name: "a", Value: "1"}),
		h(check.Header{Name: "a", Value: ""}),
		h(check.Header{Name: "A", Value: "1"}),
		req(func(r *check.Request) { r.Body = check.Body{Parsed: true} }),
		req(func(r *check.Request) { r.Body = check.Body{} }),
		req(func(r *check.Request) { r.Body = check.Body{Skipped: true} }),
		req(func(r *check.Request) { r.Body = check.Body{Truncated: true} }),
		req(func(r *check.Request) { r.Body = check.Body{Parsed: true, Value: false} }),
		req(func(r *check.Request) { r.Query = map[string][]string{"a": {}} }),
		req(func(r *check.Request) { r.Query = map[string][]string{"a": {""}} }),
		req(func(r *check.Request) { r.Query = map[string][]string{"a": {"1", "2"}} }),
		req(func(r *check.Request) { r.Query = map[string][]string{"a": {"1"}, "2": {}} }),
		req(func(r *check.Request) { r.TLS = &check.TLSSession{} }),
		req(func(r *check.Request) { r.TLS = &check.TLSSession{SNI: "x"} }),
		req(func(r *check.Request) { r.Path = []string{"nowhere"} }),
		req(func(r *check.Request) { r.Path = []string{"orders"} }),
		req(func(r *check.Request) { r.Path = nil }),
		req(func(r *check.Request) { r.Path = []string{""} }),
		req(func(r *check.Request) { r.FilterMetadata = map[string]any{"a": map[string]any{}} }),
		req(func(r *check.Request) { r.FilterMetadata = map[string]any{"a": nil} }),
		req(func(r *check.Request) { r.FilterMetadata = map[string]any{} }),
		req(func(r *check.Request) { r.FilterMetadata = map[string]any{"a": map[string]any{"x": 1.0}} }),
		req(func(r *check.Request) { r.ContextExtensions = map[string]string{"a": ""} }),
		req(func(r *check.Request) { r.Source = check.Peer{Labels: map[string]string{"a": "b"}} }),
		req(func(r *check.Request) { r.Source = check.Peer{} }),
		req(func(r *check.Request) { r.Source = check.Peer{Port: 1} }),
		req(func(r *check.Request) { r.HTTP.HeaderMap = []check.RawHeader{{Key: "a", Value: "x"}} }),
		req(func(r *check.Request) { r.HTTP.HeaderMap = []check.RawHeader{{Key: "a", RawValue: []byte("x")}} }),
		req(func(r *check.Request) { r.HTTP.Size = -1 }),
		req(func(r *check.Request) { r.HTTP.Size = 0; r.HTTP.Method = "HEAD" }),
	}
}

func tokensApart() []*check.Token {
	return []*check.Token{
		nil,
		{},
		{Status: check.TokenAbsent},
		{Status: check.TokenExpired, Error: "expired", Claims: map[string]any{"a": "b"}, Subject: "s"},
		{Status: check.TokenValid, Subject: "s"},
		{Status: check.TokenValid, Subject: ""},
		{Status: check.TokenValid, Subject: "s", Error: "e"},
		{Status: check.TokenValid, Roles: []string{"a"}},
		{Status: check.TokenValid, Scopes: []string{"a"}},
		{Status: check.TokenValid, Claims: map[string]any{}},
		{Status: check.TokenValid, Header: map[string]any{"kid": "x"}},
	}
}

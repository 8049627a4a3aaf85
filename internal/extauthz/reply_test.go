package extauthz

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/authz"
	"authz/internal/check"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
)

type h = check.Header

func str(s string) *string { return &s }

// set and added are the text forms of one header option.
func set(field, name, value string) string {
	return field + `{header{key:"` + name + `" value:'` + value + `'} append_action:OVERWRITE_IF_EXISTS_OR_ADD} `
}

func added(field, name, value string) string {
	return field + `{header{key:"` + name + `" value:'` + value + `'}} `
}

const named = ` dynamic_metadata{fields{key:"decision_id" value{string_value:"d"}}}`

func TestReplies(t *testing.T) {
	login := authz.QuotaState{Name: "login", Limit: 5, Window: 15 * time.Minute, Remaining: 3, Reset: 119500 * time.Millisecond}
	api := authz.QuotaState{Name: `a"pi`, Limit: 100, Window: time.Second, Remaining: 90, Reset: 1}
	spent := authz.QuotaState{Name: "login", Limit: 5, Window: 15 * time.Minute, Remaining: 0, Reset: 900 * time.Second, RetryAfter: 179001 * time.Millisecond}
	removed := `headers_to_remove:"x-user" headers_to_remove:"x-user-roles" headers_to_remove:"x-http-method-override" headers_to_remove:"x-http-method" headers_to_remove:"x-method-override" `
	problem := func(status, title string) string {
		return ` body:'{"type":"about:blank","title":"` + title + `","status":` + status + `,"request_id":"r"}\n'`
	}
	genericHeaders := set("headers", "content-type", "application/problem+json") + set("headers", "cache-control", "no-store") + set("headers", "x-content-type-options", "nosniff")

	for name, row := range map[string]struct {
		d       authz.Decision
		headers check.Headers // of the request
		path    string
		want    string
	}{
		"the zero decision": {
			d:    authz.Decision{},
			want: `status{code:7} denied_response{status{code:InternalServerError} ` + genericHeaders + ` body:'{"type":"about:blank","title":"Internal Server Error","status":500,"request_id":""}\n'} dynamic_metadata{fields{key:"decision_id" value{string_value:""}}}`,
		},
		"an outcome that is not known": {
			d:    authz.Decision{Outcome: 99, ID: "d", RequestID: "r"},
			want: `status{code:7} denied_response{status{code:InternalServerError} ` + genericHeaders + problem("500", "Internal Server Error") + `}` + named,
		},
		"allowed, and nothing else": {
			d:    authz.Decision{Outcome: authz.Allowed, ID: "d"},
			want: `status{} ok_response{` + removed + `}` + named,
		},
		"headers for the app: a list is one value": {
			d: authz.Decision{Outcome: authz.Allowed, ID: "d", Headers: []h{
				{Name: "x-user", Value: "ann"}, {Name: "x-user-roles", Value: "a"}, {Name: "Cookie", Value: "a=1"},
				{Name: "x-user-roles", Value: "b"}, {Name: "cookie", Value: "b=2"}, {Name: "x-empty", Value: ""}}},
			want: `status{} ok_response{` +
				set("headers", "x-user", "ann") + set("headers", "x-user-roles", "a,b") + set("headers", "cookie", "a=1; b=2") + set("headers", "x-empty", "") +
				`headers_to_remove:"x-http-method-override" headers_to_remove:"x-http-method" headers_to_remove:"x-method-override"}` + named,
		},
		"twins of owned, set and removed headers": {
			d: authz.Decision{Outcome: authz.Allowed, ID: "d",
				Headers:       []h{{Name: "x-user", Value: "ann"}, {Name: "x-tenant", Value: "t"}},
				RemoveHeaders: []string{"X-Debug", "x-user", "host", ":path", "x-http-method"}},
			headers: check.Headers{{Name: ":path"}, {Name: "x-user"}, {Name: "x_user"}, {Name: "x_user-roles"}, {Name: "x_http_method"}, {Name: "x_tenant"}, {Name: "x_debug"}, {Name: "x_other"}},
			want: `status{} ok_response{` + set("headers", "x-user", "ann") + set("headers", "x-tenant", "t") +
				`headers_to_remove:["x-user-roles", "x-http-method-override", "x-http-method", "x-method-override", "x-debug", "x_user", "x_user-roles", "x_http_method", "x_tenant", "x_debug"]}` + named,
		},
		"what belongs to the connection may be removed": {
			d:    authz.Decision{Outcome: authz.Allowed, ID: "d", RemoveHeaders: []string{"te", "Upgrade", "connection"}},
			want: `status{} ok_response{` + removed + `headers_to_remove:["te", "upgrade", "connection"]}` + named,
		},
		"the policy may set a method override": {
			d:    authz.Decision{Outcome: authz.Allowed, ID: "d", Headers: []h{{Name: "X-HTTP-Method", Value: "PUT"}}},
			want: `status{} ok_response{` + set("headers", "x-http-method", "PUT") + strings.Replace(removed, `headers_to_remove:"x-http-method" `, "", 1) + `}` + named,
		},
		"headers for the client beside the app's": {
			d: authz.Decision{Outcome: authz.Allowed, ID: "d", ResponseHeaders: []h{
				{Name: "x-frame-options", Value: "DENY"}, {Name: "vary", Value: "Origin"}, {Name: "set-cookie", Value: "a=1"},
				{Name: "link", Value: "</a>"}, {Name: "set-cookie", Value: "b=2"}, {Name: "Link", Value: "</b>"}, {Name: "Vary", Value: "Accept"}}},
			want: `status{} ok_response{` + removed +
				set("response_headers_to_add", "x-frame-options", "DENY") + added("response_headers_to_add", "vary", "Origin, Accept") +
				added("response_headers_to_add", "set-cookie", "a=1") + set("response_headers_to_add", "link", "</a>, </b>") +
				added("response_headers_to_add", "set-cookie", "b=2") + `}` + named,
		},
		"quotas on an allow": {
			d: authz.Decision{Outcome: authz.Allowed, ID: "d", Quotas: []authz.QuotaState{api, login}, Spent: -1},
			want: `status{} ok_response{` + removed +
				`response_headers_to_add{header{key:"ratelimit-policy" value:"\"a\\\"pi\";q=100;w=1, \"login\";q=5;w=900"} append_action:OVERWRITE_IF_EXISTS_OR_ADD}` +
				set("response_headers_to_add", "ratelimit", `"login";r=3;t=120`) + `}` + named,
		},
		"the policy's own RateLimit": {
			d: authz.Decision{Outcome: authz.Allowed, ID: "d", Quotas: []authz.QuotaState{login}, Spent: -1, ResponseHeaders: []h{{Name: "RateLimit", Value: "mine"}}},
			want: `status{} ok_response{` + removed + set("response_headers_to_add", "ratelimit", "mine") +
				set("response_headers_to_add", "ratelimit-policy", `"login";q=5;w=900`) + `}` + named,
		},
		"query parameters": {
			d: authz.Decision{Outcome: authz.Allowed, ID: "d",
				SetQuery:    []h{{Name: "tenant", Value: "x y&admin=1\r\n\xff"}, {Name: "role", Value: "a"}, {Name: "role", Value: "b"}, {Name: "a b", Value: "é"}},
				RemoveQuery: []string{"debug", "tenant", "d d"}},
			path: "/p?a=1&%64ebug=1&tenant=evil&%74enant=evil&a+b=2&d+d&q=%zz#x&debug=2",
			want: `status{} ok_response{` + removed +
				`query_parameters_to_set{key:"tenant" value:"x%20y%26admin%3D1%0D%0A%FF"} query_parameters_to_set{key:"role" value:"a&role=b"} query_parameters_to_set{key:"a%20b" value:"%C3%A9"}` +
				`query_parameters_to_remove:["debug", "d%20d", "%64ebug", "%74enant", "a+b", "d+d"]}` + named,
		},
		"metadata": {
			d:    authz.Decision{Outcome: authz.Allowed, ID: "d", Metadata: map[string]any{"n": 1.5, "l": []any{true, nil}, "decision_id": "forged"}},
			want: `status{} ok_response{` + removed + `} dynamic_metadata{fields{key:"decision_id" value{string_value:"d"}} fields{key:"n" value{number_value:1.5}} fields{key:"l" value{list_value{values{bool_value:true} values{null_value:NULL_VALUE}}}}}`,
		},

		"denied, and nothing else": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", RequestID: "r", Reasons: []string{"secret_reason"}},
			want: `status{code:7} denied_response{status{code:Forbidden} ` + genericHeaders + problem("403", "Forbidden") + `}` + named,
		},
		"denied 401 with lists of headers": {
			d: authz.Decision{Outcome: authz.Denied, ID: "d", RequestID: "r", Status: 401, Headers: []h{
				{Name: "WWW-Authenticate", Value: "Bearer"}, {Name: "set-cookie", Value: "a"}, {Name: "set-cookie", Value: "b"}, {Name: "www-authenticate", Value: "Basic"}}},
			want: `status{code:16} denied_response{status{code:Unauthorized} ` +
				set("headers", "www-authenticate", "Bearer") + set("headers", "set-cookie", "a") + added("headers", "set-cookie", "b") + added("headers", "www-authenticate", "Basic") +
				genericHeaders + problem("401", "Unauthorized") + `}` + named,
		},
		"denied with the policy's body and caching": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", Status: 404, Body: str("nö"), Headers: []h{{Name: "content-type", Value: "text/html"}, {Name: "cache-control", Value: "max-age=5"}}},
			want: `status{code:7} denied_response{status{code:NotFound} ` + set("headers", "content-type", "text/html") + set("headers", "cache-control", "max-age=5") + set("headers", "x-content-type-options", "nosniff") + ` body:"nö"}` + named,
		},
		"denied with an empty body": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", Body: str("")},
			want: `status{code:7} denied_response{status{code:Forbidden} ` + set("headers", "cache-control", "no-store") + `}` + named,
		},
		"a content type does not go with the generic body": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", RequestID: "r", Headers: []h{{Name: "Content-Type", Value: "text/html"}}},
			want: `status{code:7} denied_response{status{code:Forbidden} ` + genericHeaders + problem("403", "Forbidden") + `}` + named,
		},
		"a preflight answer has no body (RFC 9110, 15.3.5)": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", Status: 204, Body: str("x"), Headers: []h{{Name: "access-control-allow-origin", Value: "https://a.test"}, {Name: "content-type", Value: "a/b"}}},
			want: `status{code:7} denied_response{status{code:NoContent} ` + set("headers", "access-control-allow-origin", "https://a.test") + `}` + named,
		},
		"a redirect": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", Status: 302, Headers: []h{{Name: "location", Value: "/login"}}},
			want: `status{code:7} denied_response{status{code:Found} ` + set("headers", "location", "/login") + set("headers", "cache-control", "no-store") + `}` + named,
		},
		"a status that has no name": {
			d:    authz.Decision{Outcome: authz.Denied, ID: "d", RequestID: "r", Status: 499},
			want: `status{code:7} denied_response{status{code:499} ` + genericHeaders + problem("499", "Error") + `}` + named,
		},
		"a request id that is not plain": {
			d: authz.Decision{Outcome: authz.Denied, ID: "d", RequestID: `"</script>`},
			want: `status{code:7} denied_response{status{code:Forbidden} ` + genericHeaders +
				` body:"{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,\"request_id\":\"\\\"\\u003c/script\\u003e\"}\n"}` + named,
		},

		"limited": {
			d: authz.Decision{Outcome: authz.Limited, ID: "d", RequestID: "r", Quotas: []authz.QuotaState{{Name: "none", Remaining: 0}, spent}, Spent: 1,
				ResponseHeaders: []h{{Name: "access-control-allow-origin", Value: "*"}, {Name: "content-type", Value: "text/html"}, {Name: "cache-control", Value: "public"}}},
			want: `status{code:7} denied_response{status{code:TooManyRequests} ` + set("headers", "access-control-allow-origin", "*") + genericHeaders +
				set("headers", "ratelimit-policy", `"none";q=0;w=1, "login";q=5;w=900`) + set("headers", "ratelimit", `"login";r=0;t=900`) + set("headers", "retry-after", "180") +
				` body:'{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests","status":429,"request_id":"r"}\n'}` + named,
		},
		"limited by who knows what": {
			d: authz.Decision{Outcome: authz.Limited, ID: "d", RequestID: "r", Spent: 3},
			want: `status{code:7} denied_response{status{code:TooManyRequests} ` + genericHeaders + set("headers", "retry-after", "1") +
				` body:'{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests","status":429,"request_id":"r"}\n'}` + named,
		},
		"malformed": {
			d:    authz.Decision{Outcome: authz.Malformed, ID: "d", RequestID: "r", Reasons: []string{"path_dot_segment"}},
			want: `status{code:7} denied_response{status{code:BadRequest} ` + genericHeaders + problem("400", "Bad Request") + `}` + named,
		},
		"unavailable": {
			d:    authz.Decision{Outcome: authz.Unavailable, ID: "d", RequestID: "r", ResponseHeaders: []h{{Name: "vary", Value: "Origin"}}, Headers: []h{{Name: "x-user", Value: "not for the client"}}},
			want: `status{code:7} denied_response{status{code:ServiceUnavailable} ` + set("headers", "vary", "Origin") + genericHeaders + problem("503", "Service Unavailable") + `}` + named,
		},
		"failed, whatever status came with it": {
			d:    authz.Decision{Outcome: authz.Failed, ID: "d", RequestID: "r", Status: 200, Body: str("x")},
			want: `status{code:7} denied_response{status{code:InternalServerError} ` + genericHeaders + problem("500", "Internal Server Error") + `}` + named,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := writer{owned: newOwned([]string{"X-User", "x-user-roles"})}
			before := append([]h{}, row.d.ResponseHeaders...)
			raw, err := w.append([]byte("before"), &row.d, &check.Request{HTTP: check.HTTP{Path: row.path, Headers: row.headers}})
			if err != nil {
				t.Fatal(err)
			}
			raw, found := bytes.CutPrefix(raw, []byte("before"))
			got := new(authv3.CheckResponse)
			if err := proto.Unmarshal(raw, got); err != nil || !found {
				t.Fatalf("not a CheckResponse appended: %v", err)
			}
			want(t, got, row.want)
			if err := got.ValidateAll(); err != nil && row.d.Status != 499 {
				t.Errorf("not a valid CheckResponse: %v", err)
			}
			if !reflect.DeepEqual(before, append([]h{}, row.d.ResponseHeaders...)) {
				t.Error("the decision was changed")
			}
		})
	}
}

// What must never be put on the wire is refused here whoever let it through.
func TestDecisionsThatCannotBeAnswered(t *testing.T) {
	headers := func(list ...h) map[string]authz.Decision {
		return map[string]authz.Decision{
			"to the app":            {Outcome: authz.Allowed, Headers: list},
			"beside the app's":      {Outcome: authz.Allowed, ResponseHeaders: list},
			"of a denial":           {Outcome: authz.Denied, Headers: list},
			"of a 429":              {Outcome: authz.Limited, Spent: -1, ResponseHeaders: list},
			"of a preflight answer": {Outcome: authz.Denied, Status: 204, Headers: list},
		}
	}
	rows := map[string]map[string]authz.Decision{
		"CR in a value":     headers(h{Name: "x", Value: "a\rb"}),
		"LF in a value":     headers(h{Name: "x", Value: "a\nb"}),
		"NUL in a value":    headers(h{Name: "x", Value: "a\x00b"}),
		"DEL in a value":    headers(h{Name: "x", Value: "a\x7fb"}),
		"not UTF-8":         headers(h{Name: "x", Value: "\xff"}),
		"the second value":  headers(h{Name: "x", Value: "a"}, h{Name: "x", Value: "\n"}),
		"no name":           headers(h{Name: "", Value: "a"}),
		"a space in a name": headers(h{Name: "x y", Value: "a"}),
		"a colon in a name": headers(h{Name: "x:y", Value: "a"}),
		"a pseudo-header":   headers(h{Name: ":path", Value: "/"}),
		"host":              headers(h{Name: "Host", Value: "evil.test"}),
		"content-length":    headers(h{Name: "content-length", Value: "1"}),
		"transfer-encoding": headers(h{Name: "transfer-encoding", Value: "chunked"}),
		"connection":        headers(h{Name: "connection", Value: "x-user"}),
		"other": {
			"a name to remove":     {Outcome: authz.Allowed, RemoveHeaders: []string{"x y"}},
			"a framing header":     {Outcome: authz.Allowed, RemoveHeaders: []string{"content-length"}},
			"a body":               {Outcome: authz.Denied, Body: str("\xff")},
			"status 100":           {Outcome: authz.Denied, Status: 100},
			"status 101":           {Outcome: authz.Denied, Status: 101},
			"status 600":           {Outcome: authz.Denied, Status: 600},
			"status -1":            {Outcome: authz.Denied, Status: -1},
			"metadata":             {Outcome: authz.Allowed, Metadata: map[string]any{"a": func() {}}},
			"a decision id":        {Outcome: authz.Allowed, ID: "\xff"},
			"a metadata name":      {Outcome: authz.Allowed, Metadata: map[string]any{"\xff": 1.0}},
			"a metadata value":     {Outcome: authz.Denied, Metadata: map[string]any{"a": "\xff"}},
			"a deep metadata name": {Outcome: authz.Denied, Metadata: map[string]any{"a": map[string]any{"\xff": 1.0}}},
		},
	}
	w := writer{owned: newOwned(nil)}
	for name, decisions := range rows {
		for where, d := range decisions {
			got, err := w.append(nil, &d, nil)
			if err == nil || got != nil {
				t.Errorf("%s, %s: answered %v", name, where, got)
			}
		}
	}
}

func TestSecondsAreRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]int64{-1: 0, 0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, math.MaxInt64: 9223372037} {
		if got := seconds(d); got != want {
			t.Errorf("%d: %d, want %d", d, got, want)
		}
	}
}

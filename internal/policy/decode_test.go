package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
)

func quotaInput() ast.Value {
	return ast.MustParseTerm(`{
		"client": {"ip_block": "2001:db8::/64"}, "route": {"id": "login", "params": {"n": "7"}},
		"token": {"claims": {"n": 7, "b": true, "nothing": null, "list": []}}
	}`).Value
}

// contract, Result: what each key may be, as a whole result. Rego literals; a
// set is as good as a list.
func TestDecode(t *testing.T) {
	text := func(s string) *string { return &s }
	headers := func(pairs ...string) (out []check.Header) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, check.Header{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	quota := func(change func(*Quota)) []Quota {
		q := Quota{Name: "login", Key: []string{"ip"}, Limit: 5, Burst: 5, Cost: 1, Window: 15 * time.Minute, Charge: ChargeRequest}
		if change != nil {
			change(&q)
		}
		return []Quota{q}
	}
	const aQuota = `{"name": "login", "key": ["ip"], "limit": 5, "window": "15m"`

	for _, row := range []struct {
		decision string
		want     Result
	}{
		{`true`, Result{Allowed: true}},
		{`false`, Result{}},
		{`{"allowed": true}`, Result{Allowed: true}},
		{`{"allowed": false}`, Result{}},

		{`{"allowed": true, "headers": {}}`, Result{Allowed: true}},
		{`{"allowed": true, "headers": {"X-User": "alice"}}`, Result{Allowed: true, Headers: headers("x-user", "alice")}},
		{`{"allowed": true, "headers": {"b": "2", "a": ["1", "2"]}}`, Result{Allowed: true, Headers: headers("a", "1", "a", "2", "b", "2")}},
		{`{"allowed": true, "headers": {"a": {"2", "1"}}}`, Result{Allowed: true, Headers: headers("a", "1", "a", "2")}},
		{`{"allowed": true, "headers": {"a": []}}`, Result{Allowed: true}},
		{`{"allowed": true, "headers": [{"b": "2"}, {"a": "1"}, {"a": ["3"]}]}`, Result{Allowed: true, Headers: headers("b", "2", "a", "1", "a", "3")}},
		{`{"allowed": true, "headers": {{"b": "2"}, {"a": "1"}}}`, Result{Allowed: true, Headers: headers("a", "1", "b", "2")}},
		{`{"allowed": true, "headers": {"a": ""}}`, Result{Allowed: true, Headers: headers("a", "")}},
		{`{"allowed": true, "headers": {"a": "x\ty é"}}`, Result{Allowed: true, Headers: headers("a", "x\ty é")}},
		{`{"allowed": true, "headers": {"!#$%&'*+-.^_` + "`" + `|~09aZ": "x"}}`, Result{Allowed: true, Headers: headers("!#$%&'*+-.^_`|~09az", "x")}},
		{`{"allowed": false, "headers": {"www-authenticate": "Bearer"}}`, Result{Headers: headers("www-authenticate", "Bearer")}},
		{`{"allowed": true, "response_headers_to_add": [{"x": ["1", "2"]}]}`, Result{Allowed: true, ResponseHeaders: headers("x", "1", "x", "2")}},
		{`{"allowed": true, "request_headers_to_remove": ["X-A", "b", "te"]}`, Result{Allowed: true, RemoveHeaders: []string{"x-a", "b", "te"}}},
		{`{"allowed": true, "request_headers_to_remove": {"b", "a"}}`, Result{Allowed: true, RemoveHeaders: []string{"a", "b"}}},
		{`{"allowed": true, "query_parameters_to_set": {"b": ["1", "2"], "a": "x y"}}`, Result{Allowed: true, SetQuery: headers("a", "x y", "b", "1", "b", "2")}},
		{`{"allowed": true, "query_parameters_to_remove": ["A", "b"]}`, Result{Allowed: true, RemoveQuery: []string{"A", "b"}}},

		{`{"allowed": false, "body": "no", "http_status": 401}`, Result{Status: 401, Body: text("no")}},
		{`{"allowed": false, "body": null}`, Result{}},
		{`{"allowed": false, "body": ""}`, Result{Body: text("")}},
		{`{"allowed": false, "http_status": 204}`, Result{Status: 204}},
		{`{"allowed": false, "http_status": 200}`, Result{Status: 200}},
		{`{"allowed": false, "http_status": 599}`, Result{Status: 599}},
		{`{"allowed": false, "http_status": 4.03e2}`, Result{Status: 403}},

		{`{"allowed": true, "dynamic_metadata": {"n": 1, "f": 1.5, "b": true, "z": null, "s": "x", "l": [1, "x"], "o": {"p": {2, 1}}}}`,
			Result{Allowed: true, Metadata: map[string]any{
				"n": 1.0, "f": 1.5, "b": true, "z": nil, "s": "x", "l": []any{1.0, "x"}, "o": map[string]any{"p": []any{1.0, 2.0}},
			}}},
		{`{"allowed": true, "dynamic_metadata": {}}`, Result{Allowed: true, Metadata: map[string]any{}}},
		{`{"allowed": false, "reason": "role_missing"}`, Result{Reasons: []string{"role_missing"}}},
		{`{"allowed": false, "reason": ["b", "a"]}`, Result{Reasons: []string{"b", "a"}}},
		{`{"allowed": false, "reason": {"b", "a", "b"}}`, Result{Reasons: []string{"a", "b"}}},
		{`{"allowed": true, "response": {"mask_errors": true, "sanitize": {"fields": ["a"], "n": 1}}}`,
			Result{Allowed: true, Response: &ResponseRules{MaskErrors: true, Sanitize: map[string]any{"fields": []any{"a"}, "n": 1.0}}}},
		{`{"allowed": true, "response": {}}`, Result{Allowed: true, Response: &ResponseRules{}}},

		{`{"allowed": true, "quotas": []}`, Result{Allowed: true}},
		{`{"allowed": true, "quotas": [` + aQuota + `}]}`, Result{Allowed: true, Quotas: quota(nil)}},
		{`{"allowed": true, "quotas": {` + aQuota + `}}}`, Result{Allowed: true, Quotas: quota(nil)}},
		{`{"allowed": true, "quotas": [` + aQuota + `, "burst": 9, "cost": 2, "charge": "denied"}]}`,
			Result{Allowed: true, Quotas: quota(func(q *Quota) { q.Burst, q.Cost, q.Charge = 9, 2, ChargeDenied })}},
		{`{"allowed": true, "quotas": [` + aQuota + `, "charge": "failed"}]}`,
			Result{Allowed: true, Quotas: quota(func(q *Quota) { q.Charge = ChargeFailed })}},
		{`{"allowed": true, "quotas": [` + aQuota + `, "shadow": true}]}`, Result{Allowed: true, Quotas: quota(func(q *Quota) { q.Shadow = true })}},
		{`{"allowed": true, "quotas": [` + aQuota + `, "shadow": false}]}`, Result{Allowed: true, Quotas: quota(nil)}},
		{`{"allowed": true, "quotas": [{"name": "login", "key": ["ip"], "limit": 5, "window": 900}]}`, Result{Allowed: true, Quotas: quota(nil)}},
		{`{"allowed": true, "quotas": [{"name": "login", "key": ["ip"], "limit": 5, "window": 0.5}]}`,
			Result{Allowed: true, Quotas: quota(func(q *Quota) { q.Window = 500 * time.Millisecond })}},
		{`{"allowed": true, "quotas": [{"name": "login", "key": ["ip"], "limit": 1e9, "window": "744h"}]}`,
			Result{Allowed: true, Quotas: quota(func(q *Quota) { q.Limit, q.Burst, q.Window = 1e9, 1e9, 744*time.Hour })}},
		{`{"allowed": true, "quotas": [{"name": "login", "key": ["", "a b", {"ref": "client.ip_block"}, {"ref": "route.params.n"}, {"ref": "token.claims.n"}, {"ref": "token.claims.b"}], "limit": 5, "window": "15m"}]}`,
			Result{Allowed: true, Quotas: quota(func(q *Quota) { q.Key = []string{"", "a b", "2001:db8::/64", "7", "7", "true"} })}},

		// Anything else is reported, never obeyed.
		{`{"allowed": true, "header": 1, "Allowed": false}`, Result{Allowed: true, Unknown: []string{"Allowed", "header"}}},
		{`{"allowed": true, "response": {"mask": true}}`, Result{Allowed: true, Response: &ResponseRules{}, Unknown: []string{"response.mask"}}},
		{`{"allowed": true, "quotas": [` + aQuota + `, "burts": 1}]}`, Result{Allowed: true, Quotas: quota(nil), Unknown: []string{"quotas[0].burts"}}},
	} {
		t.Run(row.decision, func(t *testing.T) {
			got, err := decode(ast.MustParseTerm(row.decision).Value, quotaInput())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, row.want) {
				t.Errorf("got  %+v\nwant %+v", *got, row.want)
			}
		})
	}
}

// threats.md, Quotas: who may write one number in many ways must not get a fresh
// quota by each. Equal numbers are one key, and different ones are not.
func TestNumbersInQuotaKeys(t *testing.T) {
	for want, spellings := range map[string][]string{
		"7":                    {"7", "7.0", "70e-1", "0.7e1", "7E0", "7e+00", "7.000e-0"},
		"-7":                   {"-7", "-0.07e2"},
		"0":                    {"0", "-0", "0.0", "0e9", "-0.00e-3"},
		"1e2":                  {"100", "1e2", "10E+1", "100.00"},
		"15e-1":                {"1.5", "15e-1", "0.15e1", "1.50"},
		"12345678901234567891": {"12345678901234567891", "1234567890123456789.1e1"},
		"12345678901234567892": {"12345678901234567892"},
		"1e308":                {"1e308", "0.1e309"},
	} {
		for _, spelling := range spellings {
			d := decoder{input: ast.NewObject(ast.Item(ast.StringTerm("n"), ast.NewTerm(ast.Number(spelling))))}
			if got, err := d.resolve("n"); err != nil || got != want {
				t.Errorf("%s: %q, %v; want %q", spelling, got, err, want)
			}
		}
	}
	if got, err := numberKey("1e99999999999"); err == nil {
		t.Errorf("a number out of range: %q", got)
	}
}

// contract, Outcomes: wrong type → 500. threats.md, Headers: CR/LF in a
// policy-made header value is refused at the source. %s stands for the rest of an
// allowing decision.
func TestDecodeRefuses(t *testing.T) {
	const aQuota = `"quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": "1m"`
	for _, row := range []struct{ decision, want string }{
		{`null`, "is null, not an object or a boolean"},
		{`"true"`, "is string, not an object"},
		{`1`, "is number"},
		{`[true]`, "is array"},
		{`{true}`, "is set"},
		{`{}`, "allowed: missing"},
		{`{"allow": true}`, "allowed: missing"},
		{`{"allowed": "true"}`, "allowed: is string, not a boolean"},
		{`{"allowed": 1}`, "allowed: is number"},
		{`{"allowed": null}`, "allowed: is null"},
		{`{"allowed": true, 1: 2}`, "key 1: is number, not a string"},

		{`%s "headers": "x"}`, "headers: is string, not an object or a list"},
		{`%s "headers": null}`, "headers: is null"},
		{`%s "headers": {"a": 1}}`, `headers: "a": is number, not a string or a list of strings`},
		{`%s "headers": {"a": null}}`, `headers: "a": is null`},
		{`%s "headers": {"a": true}}`, `headers: "a": is boolean`},
		{`%s "headers": {"a": [1]}}`, `headers: "a": is array, not a string or a list of strings`},
		{`%s "headers": {"a": {"b": "c"}}}`, `headers: "a": is object`},
		{`%s "headers": {1: "a"}}`, "headers: key 1"},
		{`%s "headers": ["a"]}`, "headers: [0]: is string, not an object"},
		{`%s "headers": [{"a": "x"}, [{"b": "y"}]]}`, "headers: [1]: is array"},
		{`%s "headers": {"": "x"}}`, `headers: "" is not a header name`},
		{`%s "headers": {"a b": "x"}}`, `headers: "a b" is not a header name`},
		{`%s "headers": {"a:b": "x"}}`, `headers: "a:b" is not a header name`},
		{`%s "headers": {"a\r\nb": "x"}}`, `headers: "a\r\nb" is not a header name`},
		{`%s "headers": {"é": "x"}}`, `headers: "é" is not a header name`},
		{`%s "headers": {":path": "/x"}}`, `headers: ":path" is a pseudo-header`},
		{`%s "headers": {":authority": "x"}}`, `":authority" is a pseudo-header`},
		{`%s "headers": {"Host": "x"}}`, `headers: "host" is not a policy's to change`},
		{`%s "headers": {"content-length": "0"}}`, `"content-length" is not a policy's to change`},
		{`%s "headers": {"Transfer-Encoding": "chunked"}}`, `"transfer-encoding" is not`},
		{`%s "headers": {"connection": "close"}}`, `"connection" belongs to the connection`},
		{`%s "headers": {"keep-alive": "1"}}`, `"keep-alive" belongs to the connection`},
		{`%s "headers": {"TE": "trailers"}}`, `"te" belongs to the connection`},
		{`%s "headers": {"trailer": "x"}}`, `"trailer" belongs to the connection`},
		{`%s "headers": {"upgrade": "x"}}`, `"upgrade" belongs to the connection`},
		{`%s "headers": {"proxy-connection": "x"}}`, `"proxy-connection" belongs to the connection`},
		{`%s "headers": {"a": "x\r\nset-cookie: y"}}`, `headers: "a": the value holds the control byte 0x0d`},
		{`%s "headers": {"a": "x\ny"}}`, `headers: "a": the value holds the control byte 0x0a`},
		{`%s "headers": {"a": ["x", "y\u0000"]}}`, `headers: "a": the value holds the control byte 0x00`},
		{`%s "headers": {"a": "\u007f"}}`, "control byte 0x7f"},
		{`%s "headers": [{"a": "\u001b[1m"}]}`, "control byte 0x1b"},
		{`%s "response_headers_to_add": {"a": "x\ny"}}`, `response_headers_to_add: "a": the value holds`},
		{`%s "response_headers_to_add": {":status": "200"}}`, `":status" is a pseudo-header`},
		{`%s "response_headers_to_add": "x"}`, "response_headers_to_add: is string"},
		{`%s "request_headers_to_remove": "a"}`, "request_headers_to_remove: is string, not a list of strings"},
		{`%s "request_headers_to_remove": [1]}`, "request_headers_to_remove: [0]: is number"},
		{`%s "request_headers_to_remove": ["a b"]}`, `"a b" is not a header name`},
		{`%s "request_headers_to_remove": [":path"]}`, `":path" is a pseudo-header`},
		{`%s "request_headers_to_remove": ["Host"]}`, `"host" is not a policy's to change`},
		{`%s "query_parameters_to_set": ["a"]}`, "query_parameters_to_set: is array, not an object"},
		{`%s "query_parameters_to_set": {"a": 1}}`, `query_parameters_to_set: "a": is number`},
		{`%s "headers": {"x-user": "admin "}}`, `headers: "x-user": the value begins or ends with a space or tab`},
		{`%s "headers": {"x-user": ["bob", "\tadmin"]}}`, "begins or ends with a space"},
		{`%s "query_parameters_to_set": {"a": "x\ny"}}`, `"a": holds a control byte`},
		{`%s "query_parameters_to_set": {"a\u0000": "x"}}`, `holds a control byte`},
		{`%s "query_parameters_to_remove": "a"}`, "query_parameters_to_remove: is string"},
		{`%s "query_parameters_to_remove": ["\r"]}`, "holds a control byte"},

		{`%s "body": 1}`, "body: is number, not a string"},
		{`%s "body": {"error": "x"}}`, "body: is object"},
		{`%s "http_status": "403"}`, "http_status: is string, not a number"},
		{`%s "http_status": 403.5}`, "http_status: 403.5 is not an integer from 200 to 599"},
		{`%s "http_status": 103}`, "http_status: 103 is not"},
		{`%s "http_status": 199}`, "http_status: 199 is not"},
		{`%s "http_status": 600}`, "http_status: 600 is not"},
		{`%s "http_status": -1}`, "http_status: -1 is not"},
		{`%s "http_status": 1e400}`, "http_status: 1e400"},
		{`%s "dynamic_metadata": []}`, "dynamic_metadata: is array, not an object"},
		{`%s "dynamic_metadata": {"a": {1: 2}}}`, "dynamic_metadata: key 1"},
		{`%s "dynamic_metadata": {"a": [1e400]}}`, "dynamic_metadata: 1e400 is out of range"},
		{`%s "reason": 1}`, "reason: is number"},
		{`%s "reason": ["a", 1]}`, "reason: [1]: is number"},
		{`%s "reason": {"a": 1}}`, "reason: is object"},
		{`%s "response": true}`, "response: is boolean, not an object"},
		{`%s "response": {"mask_errors": "yes"}}`, "response: mask_errors: is string"},

		{`%s "quotas": {}}`, "quotas: is object, not a list"},
		{`%s "quotas": ["a"]}`, "quotas: [0]: is string, not an object"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5}]}`, "quotas: [0]: window: missing"},
		{`%s "quotas": [{"key": ["k"], "limit": 5, "window": 1}]}`, "quotas: [0]: name: missing"},
		{`%s "quotas": [{"name": "n", "limit": 5, "window": 1}]}`, "quotas: [0]: key: missing"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "window": 1}]}`, "quotas: [0]: limit: missing"},
		{`%s "quotas": [{"name": "", "key": ["k"], "limit": 5, "window": 1}]}`, "name: is 0 bytes long"},
		{`%s "quotas": [{"name": "` + strings.Repeat("n", 65) + `", "key": ["k"], "limit": 5, "window": 1}]}`, "name: is 65 bytes long"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": 1, "shadow": "yes"}]}`, "quotas: [0]: shadow: is string, not a boolean"},
		{`%s "quotas": [{"name": "n", "key": "k", "limit": 5, "window": 1}]}`, "key: is string, not an array"},
		{`%s "quotas": [{"name": "n", "key": {"k"}, "limit": 5, "window": 1}]}`, "key: is set, not an array"},
		{`%s "quotas": [{"name": "n", "key": [], "limit": 5, "window": 1}]}`, "key: is empty"},
		{`%s "quotas": [{"name": "n", "key": [1], "limit": 5, "window": 1}]}`, "key: [0]: is number"},
		{`%s "quotas": [{"name": "n", "key": [{"ref": "client.ip"}], "limit": 5, "window": 1}]}`, `key: [0]: ref "client.ip" is not in the input`},
		{`%s "quotas": [{"name": "n", "key": [{"ref": "client.ip_block.x"}], "limit": 5, "window": 1}]}`, "is not in the input"},
		{`%s "quotas": [{"name": "n", "key": [{"ref": ""}], "limit": 5, "window": 1}]}`, `ref "" is not in the input`},
		{`%s "quotas": [{"name": "n", "key": [{"ref": "client"}], "limit": 5, "window": 1}]}`, `ref "client" is object`},
		{`%s "quotas": [{"name": "n", "key": [{"ref": "token.claims.nothing"}], "limit": 5, "window": 1}]}`, `ref "token.claims.nothing" is null`},
		{`%s "quotas": [{"name": "n", "key": [{"ref": 1}], "limit": 5, "window": 1}]}`, "ref: is number"},
		{`%s "quotas": [{"name": "n", "key": [{"reff": "x"}], "limit": 5, "window": 1}]}`, `not {"ref": "…"}`},
		{`%s "quotas": [{"name": "n", "key": [{"ref": "client.ip_block", "x": 1}], "limit": 5, "window": 1}]}`, `not {"ref": "…"}`},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 0, "window": 1}]}`, "limit: 0 is not an integer from 1"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 1000000001, "window": 1}]}`, "limit: 1000000001 is not"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 1.5, "window": 1}]}`, "limit: 1.5 is not"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": "5", "window": 1}]}`, "limit: is string"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": "soon"}]}`, `window: "soon" is not a duration`},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": 0}]}`, "window: 0s is not from 1ms to 744h"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": -1}]}`, "window: -1s is not"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": "745h"}]}`, "window: 745h0m0s is not"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": 1e30}]}`, "window: 1e30 is not"},
		{`%s "quotas": [{"name": "n", "key": ["k"], "limit": 5, "window": null}]}`, "window: is null"},
		{`%s ` + aQuota + `, "burst": 0}]}`, "burst: 0 is not"},
		{`%s ` + aQuota + `, "cost": 0}]}`, "cost: 0 is not"},
		{`%s ` + aQuota + `, "cost": 1e10}]}`, "cost: 1e10 is not"},
		{`%s ` + aQuota + `, "charge": "always"}]}`, `charge: "always" is none of`},
		{`%s ` + aQuota + `, "charge": 1}]}`, "charge: is number"},
	} {
		t.Run(row.decision, func(t *testing.T) {
			decision := strings.Replace(row.decision, "%s", `{"allowed": true,`, 1)
			got, err := decode(ast.MustParseTerm(decision).Value, quotaInput())
			if got != nil || !errors.Is(err, ErrMalformed) {
				t.Fatalf("result %+v, error %v", got, err)
			}
			requireAll(t, err.Error(), []string{row.want})
		})
	}
}

// The log is not the place for what a policy puts into headers.
func TestDecodeKeepsValuesOutOfErrors(t *testing.T) {
	for _, decision := range []string{
		`{"allowed": true, "headers": {"a": "secret\n"}}`, `{"allowed": "secret"}`, `{"allowed": true, "query_parameters_to_set": {"a": "secret\n"}}`,
	} {
		if _, err := decode(ast.MustParseTerm(decision).Value, quotaInput()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", decision, err)
		}
	}
}

// FuzzDecode: whatever a policy returns, no panic; and what gets through has no
// byte that could split a message.
func FuzzDecode(f *testing.F) {
	f.Add(`{"allowed": true, "headers": {"a": ["b"]}, "quotas": [{"name": "n", "key": [{"ref": "client.ip_block"}], "limit": 1, "window": 1}]}`)
	f.Add(`{"allowed": false, "http_status": 401, "body": "x", "dynamic_metadata": {"a": [{1}]}, "reason": {"x"}}`)
	f.Add(`{"allowed": true, "query_parameters_to_set": {"a": "b"}, "response": {"sanitize": []}}`)
	f.Fuzz(func(t *testing.T, text string) {
		term, err := ast.ParseTerm(text)
		if err != nil || !term.IsGround() {
			return
		}
		result, err := decode(term.Value, quotaInput())
		if (result == nil) == (err == nil) || err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("result %v, error %v", result, err)
		}
		if err != nil {
			return
		}
		for _, h := range append(result.Headers, result.ResponseHeaders...) {
			if h.Name == "" || strings.ContainsAny(h.Name+h.Value, "\r\n\x00") || strings.HasPrefix(h.Name, ":") {
				t.Fatalf("header %q", h)
			}
		}
	})
}

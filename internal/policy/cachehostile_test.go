package policy

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"authz/internal/check"
)

// hostile is a policy and requests in their order, each asked twice in turn.
type hostile struct {
	rego string
	asks []hostileAsk
}

type hostileAsk struct {
	r     *check.Request
	token check.Token
}

// What differs in more than claims: whole requests that were taken for each other, and
// rules whose second value nobody asked for.
func TestCacheHostile(t *testing.T) {
	for name, tt := range hostiles() {
		for _, entry := range []string{"authz/decision", "outside/decision"} {
			t.Run(name+"/"+entry, func(t *testing.T) {
				t.Parallel()
				files := tree{
					"authz.rego": "package authz\n\n" + tt.rego + "\n", "data.json": fmt.Sprintf(cacheRoutes, "", `, "n": 0, "odd": false`), "outside.rego": outside,
					"ext.rego": "package ext\n\nu := input.token.claims.l[0]\nw := concat(\"\", [input.token.claims.l[1]])\n",
				}
				cfg := Config{Path: t.TempDir(), Timeout: time.Minute, Decision: entry}
				plain := loadedEngine(t, files, cfg)
				cfg.CacheBytes = 1 << 20
				cached := loadedEngine(t, nil, cfg)
				for i := range 8 * len(tt.asks) {
					ask := tt.asks[i/2%len(tt.asks)]
					if entry != "authz/decision" {
						ask.token.Claims = unlike(ask.token.Claims, i)
					}
					want, wantErr := plain.Eval(t.Context(), ask.r, &ask.token)
					got, gotErr := cached.Eval(t.Context(), ask.r, &ask.token)
					if failing(wantErr) != failing(gotErr) || //nolint:errorlint // both are sentinels, or nil
						!reflect.DeepEqual(unkept(got), want) {
						t.Fatalf("request %d, %+v: remembered %+v, %v\nwant %+v, %v", i, ask.token, got, gotErr, want, wantErr)
					}
				}
			})
		}
	}
}

func hostiles() map[string]hostile {
	type m = claimSet
	caller := func(issuer, subject string, claims m) hostileAsk {
		return hostileAsk{shopRequest(), check.Token{Status: check.TokenValid, Via: "header", Issuer: issuer, Subject: subject, Claims: claims}}
	}
	host := func(host, query string, claims m) hostileAsk {
		ask := caller("i", "s", claims)
		ask.r.HTTP.Host, ask.r.HTTP.Query = host, query
		return ask
	}
	method := func(method string) hostileAsk {
		ask := caller("i", "s", m{})
		ask.r.Path, ask.r.HTTP, ask.r.Time = []string{"nowhere"}, check.HTTP{Method: method}, time.Time{}
		return ask
	}
	// One asks q and goes with its first value, the other asks for all.
	twice := func(q string) hostile {
		return hostile{`decision := {"allowed": true, "dynamic_metadata": {"q": [q]}} if input.token.claims.k == "x"
else := {"allowed": true, "reason": "p"} if p
p if q == "a"
` + q, []hostileAsk{caller("i", "s", m{"l": []any{"a", "b"}}), caller("i", "s", m{"l": []any{"a", "b"}, "k": "x"})}}
	}
	// The last three of both are the same octets.
	const long = "012345678901234"
	return map[string]hostile{
		"empty_or_none": {`default decision := false
decision if { input.token.claims.x == {}; input.token.issuer; input.token.subject }`, []hostileAsk{
			caller(" ", long+" "+long+"5", m{"x": m{}}), caller("@"+long, long+"5", m{}),
		}},
		"empty_or_none_rule": {`decision := {"allowed": a}
default a := false
a if { input.token.claims.x == {}; input.attributes.request.http.host; input.attributes.request.http.query }`, []hostileAsk{
			host(" ", long+" "+long+"5", m{"x": m{}}), host("@"+long, long+"5", m{}),
		}},
		"no_method": {`decision := {"allowed": a, "dynamic_metadata": {"n": [1 | input.attributes.request.http.method]}}
default a := false
a if { http := input.attributes.request.http; is_object(http) }`, []hostileAsk{method("GET"), method("")}},
		"walk":          twice(`q := v if { walk(input.token.claims.l, [_, v]); is_string(v) }`),
		"walk_path":     twice(`q := v if { walk(input.token.claims.l, [path, v]); count(path) == 1 }`),
		"walk_else":     twice("q := 1 if input.token.claims.n\nelse := v if { walk(input.token.claims.l, [_, v]); is_string(v) }"),
		"walk_function": twice("q := f(1)\nf(_) := v if { walk(input.token.claims.l, [_, v]); is_string(v) }"),
		"package":       twice(`q := v if { v := data.ext[_]; is_string(v) }`),
		"list":          twice(`q := v if { v := input.token.claims.l[_] }`),
		"set":           twice("q := v if some v in s\ns contains w if some w in input.token.claims.l"),
		"nested":        twice("q := v if { o.a[_] = v }\no[k][w] := w if { k := \"a\"; some w in input.token.claims.l }"),
		"function":      twice("q := f(1)\nf(_) := v if { some v in input.token.claims.l }"),
		// With rule indexing off, as it is while recording, OPA goes with the first here.
		"walk_unindexed": {`decision := {"allowed": true, "dynamic_metadata": {"v": [v | v := o.a]}}
o.a := object.get({}, "k", q)
q := v if { walk(input.token.claims.l, [_, v]); is_string(v) }`, []hostileAsk{caller("i", "s", m{"l": []any{"a", "b"}}), caller("i", "s", m{"l": []any{"a", "a"}})}},
	}
}

// What a read puts into a key never begins with what it puts there for another request:
// then no two lists of values have the same octets.
func TestKeysArePrefixFree(t *testing.T) {
	type m = claimSet
	values := []any{nil, true, false, "", "a", []any{}, []any{"a"}, m{}, m{"y": nil}, m{"y": true}, m{"y": ""}, m{"y": "a"}, m{"y": []any{}}, m{"y": m{}}, 0.0, 1.5, m{"y": 0.0}}
	for _, path := range [][]hop{{}, {{"x", -1}}, {{"x", -1}, {"y", -1}}, {{"x", -1}, {"", 0}}} {
		for _, shallow := range []bool{false, true} {
			seen := map[string]string{}
			for i := range len(values) + 1 {
				token := &check.Token{Status: check.TokenValid, Claims: m{}}
				if i > 0 {
					token.Claims["x"] = values[i-1]
				}
				k := &key{subject: subject{r: shopRequest(), token: token}}
				inputTree.children["token"].children["claims"].leaf.put(k, path, shallow)
				for other, claims := range seen {
					if len(other) != len(k.buf) && (bytes.HasPrefix(k.buf, []byte(other)) || bytes.HasPrefix([]byte(other), k.buf)) {
						t.Errorf("%v, shallow %t: %v begins as %s does: %v, %v", path, shallow, token.Claims, claims, k.buf, []byte(other))
					}
				}
				seen[string(k.buf)] = fmt.Sprint(token.Claims)
			}
		}
	}
}

package policy

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/testbed"
	"authz/policies"
)

// outside asks for the decision of package authz as for any rule, together with a claim
// that no two callers share: no decision is ever remembered, rules are.
const outside = `package outside

decision := {"allowed": true, "dynamic_metadata": {"v": [v | v := data.authz.decision], "n": [n | n := input.token.claims.unique]}}
`

// unlike is a set of claims with one that no other has.
func unlike(claims claimSet, n int) claimSet {
	out := maps.Clone(claims)
	if out == nil {
		out = claimSet{}
	}
	out["unique"] = fmt.Sprint(n)
	return out
}

// Each value of a rule that is remembered is what the rule would have said, for policies
// and claims that are made to be mistaken for each other.
func TestRulesTellApart(t *testing.T) {
	all := lookalikes()
	maps.Copy(all, ruleLookalikes())
	unrecalled := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		tt := all[name]
		data := fmt.Sprintf(cacheRoutes, "", `, "n": 0, "odd": false`)
		cfg := Config{Path: t.TempDir(), Timeout: time.Minute, Decision: "outside/decision"}
		plain := loadedEngine(t, tree{"authz.rego": "package authz\n\n" + tt.rego + "\n", "data.json": data, "outside.rego": outside,
			"other.rego": "package other\n\nt := input.token.claims\nu := input.token.claims.l\n"}, cfg)
		cfg.CacheBytes = 1 << 20
		cached := loadedEngine(t, nil, cfg)
		for i := range 8 * len(tt.claims) {
			claims := unlike(tt.claims[i/2%len(tt.claims)], i)
			token := &check.Token{Status: check.TokenValid, Via: "header", Issuer: "i", Subject: "s", Claims: claims, Header: claimSet{"alg": "RS256"}}
			r := shopRequest()
			if i%3 == 2 { // another route, the same rules
				r.Path = []string{"orders"}
			}
			want, wantErr := plain.Eval(t.Context(), r, token)
			got, gotErr := cached.Eval(t.Context(), r, token)
			if failing(wantErr) != failing(gotErr) || //nolint:errorlint // both are sentinels, or nil
				!reflect.DeepEqual(unkept(got), want) {
				t.Fatalf("%s, claims %v: remembered %+v, %v\nwant %+v, %v", name, claims, got, gotErr, want, wantErr)
			}
		}
		if cached.counts.recalled.Load() == 0 {
			unrecalled++
			if _, ours := ruleLookalikes()[name]; ours && !tt.never {
				t.Errorf("%s: no rule was remembered: the comparison compares nothing", name)
			}
		}
		if n := cached.counts.recalled.Load(); tt.never && n != 0 {
			t.Errorf("%s: %d values were remembered", name, n)
		}
	}
	if unrecalled > len(all)/2 {
		t.Errorf("of %d policies, %d had no rule remembered", len(all), unrecalled)
	}
}

func ruleLookalikes() map[string]lookalike {
	type m = claimSet
	ab := []m{{"l": "a"}, {"l": "b"}, {"l": "a", "k": "x"}, {"l": "b", "k": "x"}, {"k": "x"}, {"k": false}, {}}
	lists := []m{{"l": []any{"a"}}, {"l": []any{"b"}}, {"l": []any{"a", "a"}}, {"l": []any{"a", "b"}}, {"l": []any{}}, {"l": "a"}, {}}
	return map[string]lookalike{
		"with_input": {claims: ab, rego: `decision := [x, y, z]
x := r
y := v if v := r with input as {"token": {"claims": {"l": "with"}}}
z := r
default r := "none"
r := concat("", [input.token.claims.l, "!"])`},
		"with_data": {claims: ab, rego: `decision := [y, s, r]
s := upper(r)
y := v if v := s with data.authz.r as "with"
default r := "none"
r := concat("", [input.token.claims.l, "!"])`},
		"with_function": {claims: ab, rego: `decision := [y, s, f("q")]
s := f(r)
y := v if v := s with f as "with"
f(x) := concat("", [x, r])
default r := "none"
r := concat("", [input.token.claims.l, "!"])`},
		"default": {claims: ab, rego: `decision := [p, q]
default p := "d"
p := upper(input.token.claims.l) if not input.token.claims.k
q := p`},
		"else": {claims: ab, rego: `decision := [p, q]
p := upper(input.token.claims.l) if input.token.claims.l == "a"
else := "k" if input.token.claims.k
else := "l" if input.token.claims.l
q := [p]`},
		"undefined": {claims: ab, rego: `decision := [a | a := p] if not p
decision := [p, "p"] if p
p if r
r if input.token.claims.k
r if input.token.claims.l == "a"`},
		"false": {claims: ab, rego: `decision := [a, b]
a := x if x := p
b if not p
else := false
p := input.token.claims.k == "x"`},
		"negation": {claims: ab, rego: `decision := {"a": [1 | p], "b": [1 | q], "c": [1 | not q]}
p if not q
q if not input.token.claims.k
q if input.token.claims.l == "b"`},
		"alias": {claims: ab, rego: `decision := [a, b]
a := [c.l | c := m]
b := [x | x := n.l]
m := input.token.claims
n := c if c := input.token.claims
`},
		"first_by_another": {claims: ab, rego: `decision := [a, b, c]
a := concat("", ["a", s])
b := concat("", ["b", s])
c := concat("", ["c", a, b])
default s := "none"
s := upper(input.token.claims.l)`},
		"first_by_function": {claims: ab, rego: `decision := [a, b]
a := f(1)
b := f(1)
f(x) := sprintf("%v%v", [x, s])
default s := "none"
s := upper(input.token.claims.l)`},
		"function_reads": {claims: ab, rego: `decision := [a, b, c]
a := g("l")
b := g("k")
c := [g("l"), g("n")]
g("l") := [x | x := input.token.claims.l]
g("k") := [x | x := input.token.claims.k]
g("n") := "none"`},
		"partial_set": {claims: lists, rego: `decision := {"a": [1 | "a" in s], "n": count(s), "all": all, "b": [1 | s["b"]]}
all := [v | some v in s]
s contains upper(v) if some v in input.token.claims.l
s contains v if some v in input.token.claims.l
s contains "always"`},
		"partial_object": {claims: lists, rego: `decision := {"a": [x | x := o.a], "n": count(o), "all": all}
all := [k | some k, _ in o]
o[v] := 1 if some v in input.token.claims.l
o.z := 2`},
		"comprehension_shared": {claims: lists, rego: `decision := [a, b]
a := [f(x) | some x in ["a", "b"]]
b := [f(x) | some x in ["a", "b"]]
f(x) := {y | some y in w; y == x}
w := [v | some v in input.token.claims.l]`},
		"comprehension_index": {claims: lists, rego: `decision := [a, b]
a := [n | some x in ["a", "b"]; n := count(f(x))]
b := [n | some x in ["b", "a"]; n := count(f(x))]
f(x) := [y | some i; w[i] == x; y := i]
w := [v | some v in input.token.claims.l]`},
		"every": {claims: lists, rego: `decision := [a, b]
a := [1 | e]
b := [1 | not e]
e if every v in input.token.claims.l { v == "a"; not g(v) }
g(x) if x == "b"`},
		"conflict": {claims: lists, rego: `decision := [1 | p]
p if q == "a"
p if q == "b"
q := x if some x in input.token.claims.l`},
		"conflict_of_rules": {claims: []m{{"l": "a"}, {"k": "b"}, {"l": "a", "k": "a"}, {"l": "a", "k": "b"}, {"l": "b", "k": "a"}, {}}, rego: `decision := [1 | p]
p if q == "a"
p if q == "b"
q := input.token.claims.l
q := upper(lower(input.token.claims.k))
q := input.token.claims.k`},
		"conflict_of_function": {claims: []m{{"l": "a"}, {"k": "b"}, {"l": "a", "k": "a"}, {"l": "a", "k": "b"}, {"l": "b", "k": "a"}, {}}, rego: `decision := [1 | p]
p if q == "a1"
p if q == "b1"
q := f(1)
f(x) := sprintf("%v%v", [input.token.claims.l, x])
f(x) := sprintf("%v%v", [input.token.claims.k, x])`},
		"builtin_error": {claims: []m{{"l": "a"}, {"l": "1"}, {"l": "0"}, {"l": []any{}}, {}}, rego: `decision := [a, b]
a := [x | x := q]
b := [1 | not q]
q := 10 / to_number(input.token.claims.l)`},
		"data_dynamic": {claims: []m{{"l": "x"}, {"l": "y"}, {"l": "z"}, {"l": "x", "k": "1"}, {"l": "y", "k": "1"}, {}}, rego: `decision := [a, b]
a := [v | v := data.authz.t[input.token.claims.l]]
b := [a, [v | v := data.authz.t.x]]
t.x := concat("", [input.token.claims.k, "!"])
t.y := upper(input.token.claims.l)`},
		"package": {claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": "x"}, {}}, rego: `decision := [w, x]
w := count([v | some _, v in data.other])
x := [v | v := data.other.u]`},
		"object_value": {claims: ab, rego: `decision := [o.l, o.n, object.get(o, "k", "none")]
o := {"l": [x | x := input.token.claims.l], "k": [x | x := input.token.claims.k], "n": 1}`},
		"set_value": {claims: lists, rego: `decision := {"n": count(s), "has": [1 | "a" in s], "diff": s - {"a"}}
s := {v | some v in input.token.claims.l}`},
		"early_exit": {claims: lists, rego: `decision := [1 | p]
p if q
p if r
q if { some x in w; x == "b" }
r if { some x in w; x == "a" }
w := [v | some v in input.token.claims.l]`},
		"walked": {claims: lists, rego: `decision := [a, b]
a := [p | walk(w, [p, "a"])]
b := [p | walk(w, [p, "b"])]
w := {"x": [x | x := input.token.claims.l]}`},
		"random": {never: true, claims: ab, rego: `decision := count([1 | q == input.token.claims.l])
q := r
r := rand.intn("x", 1000)`},
	}
}

// The same for requests made at random, with data that change, and for OPA alone.
func TestRulesDiffer(t *testing.T) {
	sets, requests := cachePolicies(), 120
	if testing.Short() || testbed.RaceEnabled {
		requests = 40
	}
	if *campaign > 0 {
		requests = *campaign/len(sets) + 1
	}
	counts := make([]uint64, len(sets))
	t.Run("policies", func(t *testing.T) {
		for i, set := range sets {
			t.Run(set.name, func(t *testing.T) {
				t.Parallel()
				counts[i] = compareRules(t, set, requests, uint64(i))
			})
		}
	})
	some := 0
	for _, n := range counts {
		if n > 0 {
			some++
		}
	}
	if some < len(sets)/2 {
		t.Errorf("of %d policies, %d had rules remembered", len(sets), some)
	}
}

func compareRules(t *testing.T, set cachePolicy, requests int, seed uint64) uint64 {
	dir := t.TempDir()
	cfg := Config{Path: dir, Timeout: time.Minute, Decision: "outside/decision"}
	if set.library {
		cfg.Library = policies.Library
	}
	files := maps.Clone(set.files)
	files["outside.rego"] = outside
	plain := loadedEngine(t, files, cfg)
	cfg.CacheBytes = 1 << 20
	cached := loadedEngine(t, nil, cfg)
	g := &requestGenerator{rand.New(rand.NewPCG(seed, 11))}
	for n := range requests {
		if n%500 == 499 {
			set.reload(n).write(t, dir)
			if err := errors.Join(plain.Load(t.Context()), cached.Load(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		r, token := g.request(), g.token()
		if token != nil && token.Claims != nil {
			token.Claims = unlike(token.Claims, n)
		}
		want, wantErr := plain.Eval(t.Context(), r, token)
		got, gotErr := cached.Eval(t.Context(), r, token)
		if failing(wantErr) != failing(gotErr) || //nolint:errorlint // both are sentinels, or nil
			!reflect.DeepEqual(unkept(got), want) {
			t.Fatalf("request %d: remembered %+v, %v\nwant %+v, %v\n%s %s %+v\ntoken %+v", n, got, gotErr, want, wantErr, r.HTTP.Method, r.HTTP.Path, r, token)
		}
	}
	return cached.counts.recalled.Load()
}

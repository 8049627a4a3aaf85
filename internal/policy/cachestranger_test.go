package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"authz/internal/check"
)

type claimSet = map[string]any

// What a hostile policy author and a hostile caller would try: values that are nearly
// alike, names that look like paths, variables in every place where Rego allows one.
// Each policy is asked with each of its claims, twice in turn.
func TestCacheTellsApart(t *testing.T) {
	for name, tt := range lookalikes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := fmt.Sprintf(cacheRoutes, "", `, "n": 0, "odd": false`)
			files := tree{"authz.rego": "package authz\n\n" + tt.rego + "\n", "data.json": data,
				"other.rego": "package other\n\nt := input.token.claims\nu := input.token.claims.l\n"}
			cfg := Config{Path: t.TempDir(), Timeout: time.Minute}
			plain := loadedEngine(t, files, cfg)
			cfg.CacheBytes = 1 << 20
			cached := loadedEngine(t, nil, cfg)
			for i := range 8 * len(tt.claims) {
				claims := tt.claims[i/2%len(tt.claims)]
				token := &check.Token{Status: check.TokenValid, Via: "header", Issuer: "i", Subject: "s", Claims: claims, Header: claimSet{"alg": "RS256"}}
				want, wantErr := plain.Eval(t.Context(), shopRequest(), token)
				got, gotErr := cached.Eval(t.Context(), shopRequest(), token)
				if failing(wantErr) != failing(gotErr) || //nolint:errorlint // both are sentinels, or nil
					!reflect.DeepEqual(unkept(got), want) {
					t.Fatalf("claims %v: remembered %+v, %v\nwant %+v, %v", claims, got, gotErr, want, wantErr)
				}
			}
			if cached.Status().Cache.Hits == 0 {
				t.Error("nothing was remembered: the comparison compares nothing")
			}
		})
	}
}

type lookalike struct {
	rego   string
	claims []claimSet
	never  bool // nothing of it may be remembered
}

func lookalikes() map[string]lookalike {
	type m = claimSet
	n := func(s string) json.Number { return json.Number(s) }
	return map[string]lookalike{
		"dot": {rego: `default decision := false
decision if input.token.claims.app.role == "admin"
decision if input.token.claims["app.role"] == "admin"`, claims: []m{{"app": m{"role": "x"}}, {"app.role": "admin"}, {"app": m{"role": "admin"}}, {"app.role": "x"}, {}}},
		"dot_below": {rego: `default decision := false
decision if { input.token.claims.a == {"n": 1}; input.token.claims["a.b"].c == "admin" }`, claims: []m{{"a": m{"n": n("1")}, "a.b": m{"c": "x"}}, {"a": m{"n": n("1")}, "a.b": m{"c": "admin"}}}},
		"index": {rego: `default decision := false
decision if input.token.claims.l[0] == "admin"
decision if input.token.claims.l["0"] == "admin"`, claims: []m{{"l": m{"0": "x"}}, {"l": m{"0": "admin"}}, {"l": []any{"x"}}, {"l": []any{"admin"}}}},
		"mark": {rego: `default decision := false
decision if { x := input.token.claims.l; is_string(x); input.token.claims["l?"] == "admin" }`, claims: []m{{"l": "a", "l?": "x"}, {"l": "a", "l?": "admin"}}},
		"refhead": {rego: `default decision := false
decision if d.a.x == 1
d[y].x := 1 if { y := input.token.claims.t }`, claims: []m{{"t": "b"}, {"t": "a"}}},
		"refhead2": {rego: `default decision := false
decision if d.x.a == 1
d.x[y] := 1 if { y := input.token.claims.t }`, claims: []m{{"t": "b"}, {"t": "a"}}},
		"refhead3": {rego: `default decision := false
decision if "a" in d.x
d.x contains y if { y := input.token.claims.t }`, claims: []m{{"t": "b"}, {"t": "a"}}},
		"refhead4": {rego: `default decision := false
decision if d.a.b.c == 1
d[y].b[z] := 1 if { y := input.token.claims.t; z := input.token.claims.u }`, claims: []m{{"t": "b", "u": "c"}, {"t": "a", "u": "c"}, {"t": "a", "u": "d"}}},
		"refhead_direct": {rego: `default decision := false
decision if d.a.x == 1
d[input.token.claims.t].x := 1`, claims: []m{{"t": "b"}, {"t": "a"}}},
		"template":       {rego: "decision := {\"allowed\": true, \"reason\": $\"{input.token.claims.t}\"}", claims: []m{{"t": "b"}, {"t": "a"}, {}}},
		"template_alias": {rego: "decision := {\"allowed\": true, \"reason\": $\"a{x}\"} if x := input.token.claims.t", claims: []m{{"t": "b"}, {"t": "a"}, {}}},
		"numbers": {rego: `decision := {"allowed": true, "reason": r}
default r := "none"
r := "one" if input.token.claims.l == 1
r := "two" if input.token.claims.l == 2
r := "hundred" if input.token.claims.l == 100
r := "zero" if input.token.claims.l == 0
r := "big" if input.token.claims.l == 9007199254740993`, claims: []m{{"l": n("1")}, {"l": n("1.0")}, {"l": n("1e0")}, {"l": n("1e2")}, {"l": n("100")}, {"l": n("0")}, {"l": n("-0")}, {"l": n("0.0")}, {"l": float64(1)}, {"l": n("9007199254740993")}, {"l": n("9007199254740992")}, {"l": n("9007199254740993.0")}, {"l": n("90071992547409930e-1")}}},
		"null_false": {rego: `decision := {"allowed": true, "reason": r}
default r := "none"
r := "null" if input.token.claims.l == null
else := "false" if input.token.claims.l == false
else := "not" if not input.token.claims.l
else := "yes" if input.token.claims.l`, claims: []m{{}, {"l": nil}, {"l": false}, {"l": true}, {"l": ""}, {"l": n("0")}, {"l": []any{}}, {"l": m{}}}},
		"alias_false": {rego: `decision := {"allowed": true, "reason": r}
default r := "none"
r := "there" if { x := input.token.claims.l; not x.y }
r := "there" if { x := input.token.claims.l; x.y }`, claims: []m{{}, {"l": nil}, {"l": false}, {"l": m{"y": n("1")}}, {"l": m{"y": false}}, {"l": m{}}}},
		"alias_dup": {rego: `default decision := false
decision if { x = input.token.claims.l; y = input.token.claims.l; x == y; x.a }`, claims: []m{{}, {"l": m{"a": "1"}}, {"l": m{"a": false}}}},
		"alias_closure":    {rego: `decision := {"allowed": true, "dynamic_metadata": {"x": z}} if { x := input.token.claims; z := [y | some k in ["a", "b"]; y := x.l[k]] }`, claims: []m{{}, {"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": m{"b": false}}}},
		"alias_nested":     {rego: `decision := {"allowed": true, "dynamic_metadata": {"x": z}} if { x := input.token.claims; y := x.l; z := y }`, claims: []m{{"l": "a"}, {"l": "b"}, {"l": m{"b": false}}}},
		"alias_output_ref": {rego: `decision := {"allowed": true, "reason": z} if { x := input.token.claims; z := {k | x.l[k]} }`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"b": "2"}}}},
		"mirror_else": {rego: `decision := {"allowed": true, "reason": w}
default w := "none"
w := c.a if c.a
c := x if { x := input.token.claims.l }
else := x if { x := input.token.claims.k }`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"k": m{"a": "3"}}, {"k": m{"a": "4"}}, {"l": "x", "k": m{"a": "4"}}}},
		"mirror_pkg": {rego: `decision := {"allowed": true, "dynamic_metadata": {"x": w}}
w := {k: v | some k, v in data.other}`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {}}},
		"mirror_chain": {rego: `decision := {"allowed": true, "reason": w}
default w := "none"
w := b.l.a
b := c
c := input.token.claims`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {}}},
		"mirror_dynamic_pkg": {rego: `decision := {"allowed": true, "reason": w}
default w := "none"
w := data[input.token.claims.p].t.l.a
`, claims: []m{{"p": "other", "l": m{"a": "1"}}, {"p": "other", "l": m{"a": "2"}}, {"p": "authz", "l": m{"a": "2"}}}},
		"mirror_function": {rego: `decision := {"allowed": f(t), "reason": "x"}
t := input.token.claims.l
default f(_) := false
f(x) if x.a == "1"`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": "s"}}},
		"mirror_with_default": {rego: `decision := {"allowed": true, "dynamic_metadata": {"x": t}}
default t := "d"
t := input.token.claims.l`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": "s"}, {}}},
		"mirror_refhead": {rego: `decision := {"allowed": true, "dynamic_metadata": {"x": o}}
o.t := input.token.claims.l
o.u := input.token.claims.k`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": "s"}, {"k": "x"}, {"k": "y"}, {}}},
		"mirror_refhead_get": {rego: `decision := {"allowed": true, "dynamic_metadata": {"x": object.get(o, ["t", "a"], "none")}}
o.t := input.token.claims.l`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": "s"}, {"k": "x"}, {}}},
		"object_ops": {rego: `decision := {"allowed": true, "dynamic_metadata": {"u": object.union(input.token.claims, {"z": 1}), "k": object.keys(input.token.claims), "n": count(input.token.claims), "j": json.marshal(input.token.claims), "f": json.filter(input.token.claims, ["l/a"]), "s": sprintf("%v", [input.token.claims])}}`, claims: []m{{"l": m{"a": "1"}}, {"l": m{"a": "2"}}, {"l": "s"}, {"k": "x"}, {}, {"l": []any{}}, {"l": []any{nil}}}},
		"union_keys": {rego: `decision := {"allowed": true, "dynamic_metadata": {"a": array.concat(x, ["z"])}} if { x := input.token.claims.l }
else := {"allowed": true, "dynamic_metadata": {"r": [p | [p, _] = walk(input.token.claims)]}}`, claims: []m{{"l": m{"a": "1"}}, {"l": []any{"1"}}, {"l": []any{"2"}}, {}, {"k": "a"}}},
		"somein":  {rego: `decision := {"allowed": true, "reason": {concat("=", [k, v]) | some k, v in input.token.claims}}`, claims: []m{{"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": n("1")}, {}}},
		"unicode": {rego: `decision := {"allowed": input.token.claims.l == "caf\u00e9", "reason": upper(input.token.claims.l)}`, claims: []m{{"l": "caf\u00e9"}, {"l": "cafe\u0301"}, {"l": "caf\xe9"}, {"l": "caf\xef\xbf\xbd"}, {"l": "\u212a"}, {"l": "k"}}},
		"typed": {rego: `decision := {"allowed": true, "reason": r}
default r := "none"
r := input.token.claims.l[0]
r := input.token.claims.o.a`, claims: []m{{"l": []string{"a"}}, {"l": []string{"b"}}, {"o": map[string]string{"a": "x"}}, {"o": map[string]string{"a": "y"}}, {}}},
		"array_of_objects": {rego: `decision := {"allowed": input.token.claims.l[1].a.b == "x", "reason": r}
default r := "none"
r := input.token.claims.l[0].a`, claims: []m{{"l": []any{m{"a": "1"}, m{"a": m{"b": "x"}}}}, {"l": []any{m{"a": "1"}, m{"a": m{"b": "y"}}}}, {"l": []any{m{"a": "2"}}}, {"l": []any{}}}},
		"every_alias": {rego: `default decision := false
decision if { x := input.token.claims.l; every v in x { v == "a" } }`, claims: []m{{"l": m{"a": "a"}}, {"l": m{"a": "b"}}, {"l": []any{"a"}}, {"l": []any{"b"}}, {"l": []any{}}, {}}},
		"member_alias": {rego: `default decision := false
decision if { x := input.token.claims.l; "a" in x }`, claims: []m{{"l": m{"a": "a"}}, {"l": m{"a": "b"}}, {"l": []any{"a"}}, {"l": []any{"b"}}, {}}},
		"type_test": {rego: `decision := {"allowed": true, "reason": r}
r := "obj" if { x := input.token.claims.l; is_object(x) }
else := "num" if { x := input.token.claims.l; is_number(x) }
else := "bool" if { x := input.token.claims.l; is_boolean(x) }
else := "other" if { x := input.token.claims.l; not is_null(x) }
else := type_name(input.token.claims.l)`, claims: []m{{"l": m{"a": "a"}}, {"l": m{}}, {"l": []any{"a"}}, {"l": n("1")}, {"l": 1.5}, {"l": true}, {"l": nil}, {}}},
		"index_rules": {rego: `decision := {"allowed": true, "reason": r}
default r := "none"
r := "a" if input.token.claims.l.x == "1"
r := "b" if input.token.claims.l.x == "2"
r := "c" if input.token.claims.l.x == ["3"]
r := "d" if glob.match("*.com", [], input.token.claims.l.x)`, claims: []m{{"l": m{"x": "1"}}, {"l": m{"x": "2"}}, {"l": m{"x": []any{"3"}}}, {"l": m{"x": "x.com"}}, {"l": "x"}, {}}},
		"func_alias_arg": {rego: `default decision := false
decision if f(input.token.claims)
f(c) if { c = input.token.claims; c.a == "1" }
f(c) if { x := c; x.a == "2" }`, claims: []m{{"a": "1"}, {"a": "2"}, {"a": "3"}, {}}},
		"rebind": {rego: `default decision := false
decision if { some x in [{"a": "1"}, {"a": "2"}]; x = input.token.claims; x.a }`, claims: []m{{"a": "1"}, {"a": "2"}, {"a": "3"}, {}}},
		"shadow": {rego: `decision := {"allowed": true, "reason": z} if { x := input.token.claims.l; x.a; z := [x | some x in input.token.claims.k] }
else := {"allowed": true, "reason": "none"}`, claims: []m{{"l": m{"a": "1"}, "k": []any{"a"}}, {"l": m{"a": "1"}, "k": []any{"b"}}, {"l": m{"a": "2"}, "k": []any{"b"}}, {}}},
	}
}

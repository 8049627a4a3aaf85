package policy

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"authz/internal/check"
	"authz/policies"
)

// outline writes steps as a person reads them: what held, what it was, what it saw,
// and the line.
func outline(steps []Step) string {
	var b strings.Builder
	var write func(steps []Step, indent string)
	write = func(steps []Step, indent string) {
		for _, s := range steps {
			mark := "-"
			if s.Held {
				mark = "+"
			}
			fmt.Fprintf(&b, "%s%s %s", indent, mark, s.Text)
			if s.Above {
				b.WriteString(" (above)")
			}
			for _, v := range s.Values {
				fmt.Fprintf(&b, " | %s = %s", v.Name, v.Value)
			}
			fmt.Fprintf(&b, " :%d\n", s.Line)
			write(s.Steps, indent+"  ")
		}
	}
	write(steps, "")
	return b.String()
}

// Each row is a whole policy, and the whole telling of its decision about alice
// (role reader) asking GET /orders.
func TestExplain(t *testing.T) {
	for _, row := range []struct{ name, rego, want string }{
		{"a boolean, indexed away", `package authz
decision if input.token.subject == "bob"
decision if {
	input.token.status == "valid"
	"clerk" in input.token.roles
}
default decision := false
`, `
- authz.decision if input.token.subject == "bob" | input.token.subject = "alice" :2
- authz.decision :3
  + input.token.status == "valid" :4
  - "clerk" in input.token.roles | input.token.roles = ["reader"] :5
+ authz.decision (default) = false :7
`},
		{"a value made of rules", `package authz
decision := {"allowed": allow, "reason": deny}
default allow := false
allow if count(deny) == 0
deny contains "role" if not clerk
deny contains "never" if input.token.subject == "bob"
clerk if "clerk" in input.token.roles
`, `
+ authz.decision :2
  + {"allowed": allow, "reason": deny} :2
    + authz.deny contains "role" if not clerk :5
      - authz.clerk if "clerk" in input.token.roles | input.token.roles = ["reader"] :7
    - authz.allow if count(deny) == 0 | deny = {"role"} :4
      + authz.deny contains "role" (above) :5
`},
		{"a not that fails is told by what held", `package authz
default decision := false
decision if not blocked
blocked if {
	input.token.subject in {"alice", "mallory"}
	not spared
}
spared if input.client.ip == "192.0.2.1"
`, `
- authz.decision if not blocked :3
  + authz.blocked :4
    + input.token.subject in {"alice", "mallory"} :5
    + not spared :6
      - authz.spared if input.client.ip == "192.0.2.1" | input.client.ip = "2001:db8::1" :8
+ authz.decision (default) = false :2
`},
		{"functions and every", `package authz
default decision := false
decision if {
	every role in input.token.roles { known(role) }
	at_least(input.token.roles, 2)
}
known(role) if role in {"reader", "clerk"}
at_least(list, n) if count(list) >= n
`, `
- authz.decision :3
  + every role in input.token.roles { known(role) } :4
  - at_least(input.token.roles, 2) | input.token.roles = ["reader"] :5
    - authz.at_least(…) if count(list) >= n | list = ["reader"] | n = 2 :8
+ authz.decision (default) = false :2
`},
		{"undefined", `package authz
decision := {"allowed": true, "headers": input.token.claims.headers}
`, `
- authz.decision :2
  - {"allowed": true, "headers": input.token.claims.headers} | input.token.claims.headers = undefined :2
`},
		{"allowed", `package authz
default decision := false
decision if {
	reader
	not stranger
}
reader if "reader" in input.token.roles
stranger if input.token.subject == "eve"
`, `
+ authz.decision :3
  + reader :4
    + authz.reader if "reader" in input.token.roles :7
  + not stranger :5
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := loadedEngine(t, tree{"p.rego": row.rego}, Config{})
			x, err := e.Explain(t.Context(), get(), &check.Token{Status: check.TokenValid, Subject: "alice", Roles: []string{"reader"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := "\n" + outline(x.Rules); got != row.want {
				t.Errorf("got%s\nwant%s", got, row.want)
			}
		})
	}
}

// The tree of the library's own decision, and the place of its reason.
func TestExplainLibrary(t *testing.T) {
	e := loadedEngine(t, nil, Config{Path: "../../demo/policies", Library: policies.Library})
	x, err := e.Explain(t.Context(), get(), &check.Token{Status: check.TokenValid, Subject: "alice", Roles: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	requireAll(t, outline(x.Rules), []string{
		"- authz.decision :", "+ https.pass :", "- rbac.pass :", `+ authz.rbac.deny contains "role_missing" :`,
		`| role = "reader" | route.row.needs.roles = ["admin", "clerk"] :`,
	})
	if len(x.Reasons) != 1 || x.Reasons[0].Code != "role_missing" || x.Reasons[0].Rule != "authz.rbac.deny" || x.Reasons[0].File != "library/authz/rbac/rbac.rego" {
		t.Errorf("reasons: %+v", x.Reasons)
	}
}

// What keeps a decision from being made is explained as far as it came.
func TestExplainFailures(t *testing.T) {
	for _, row := range []struct {
		name, rego string
		want       error
	}{
		{"undefined", "package authz\ndecision if input.token.subject == \"bob\"\n", ErrUndefined},
		{"a wrong type", "package authz\ndecision := {\"allowed\": \"yes\"}\n", ErrMalformed},
		{"a conflict", "package authz\ndecision := 1 if input.token\ndecision := 2 if input.client\n", ErrEvaluation},
	} {
		t.Run(row.name, func(t *testing.T) {
			x, err := loadedEngine(t, tree{"p.rego": row.rego}, Config{}).Explain(t.Context(), get(), anonymous())
			if err != nil {
				t.Fatal(err)
			}
			if !errors.Is(x.Err, row.want) || x.Result != nil || len(x.Rules) == 0 {
				t.Errorf("got %v, result %v, %d rules; want %v", x.Err, x.Result, len(x.Rules), row.want)
			}
		})
	}
	if _, err := newEngine(t, nil, Config{}).Explain(t.Context(), get(), anonymous()); !errors.Is(err, ErrNotLoaded) {
		t.Errorf("no policy: %v", err)
	}
}

// The slow way and the quick way decide the same.
func TestExplainDecidesAsEval(t *testing.T) {
	e := loadedEngine(t, nil, Config{Path: "../../demo/policies", Library: policies.Library})
	for _, method := range []string{"GET", "POST", "DELETE"} {
		for _, path := range [][]string{{"orders"}, {"login"}, {"admin", "orders"}, {"nowhere"}} {
			for _, token := range []*check.Token{anonymous(), validToken(), {Status: check.TokenExpired}, {Status: check.TokenUnavailable}} {
				r := get()
				r.HTTP.Method, r.Path, r.HTTP.Path = method, path, "/"+strings.Join(path, "/")
				want, err := e.Eval(t.Context(), r, token)
				if err != nil {
					t.Fatal(err)
				}
				x, err := e.Explain(t.Context(), r, token)
				if err != nil {
					t.Fatal(err)
				}
				if x.Err != nil || !reflect.DeepEqual(x.Result, want) {
					t.Errorf("%s %v: got %+v, %v; want %+v", method, path, x.Result.Reasons, x.Err, want.Reasons)
				}
			}
		}
	}
}

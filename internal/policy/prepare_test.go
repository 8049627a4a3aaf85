package policy

import (
	"strings"
	"testing"
)

const asksPrepared = `package authz

default decision := {"allowed": false}

decision := {"allowed": true} if not data.authz.prepared.blocked[input.attributes.request.http.host]
`

// What is worked out at load decides as the rules would, or is not loaded.
func TestPrepared(t *testing.T) {
	for _, row := range []struct{ name, rego, want string }{
		{"an object", `blocked := {host: true | some host in ["shop.test"]}`, ""},
		{"a rule of another package", `import data.other

blocked := other.blocked`, ""},
		// As a list it would hold nobody by name, and "not" would let everybody in.
		{"a set", `blocked contains "shop.test"`, "data.authz.prepared.blocked is a set"},
		{"a set below", `blocked := {"a": [{"shop.test"}]}`, "data.authz.prepared.blocked.a[0] is a set"},
		{"an object by numbers", `blocked := {"a": {1: true}}`, "data.authz.prepared.blocked.a has a key that is no string"},
		{"a clock", `blocked := {"shop.test": time.now_ns() > 0}`, "time.now_ns"},
		{"a clock elsewhere", `import data.other

blocked := {"shop.test": other.now > 0}`, "time.now_ns"},
		{"the request", `blocked := {input.client.ip: true}`, errReadsInput.Error()},
	} {
		t.Run(row.name, func(t *testing.T) {
			files := tree{
				"a.rego":        asksPrepared,
				"prepared.rego": "package authz.prepared\n\n" + row.rego + "\n",
				"other.rego":    "package other\n\nblocked := {\"shop.test\": true}\n\nnow := time.now_ns()\n",
			}
			if row.want != "" {
				if got := loadError(t, files, Config{}); !strings.Contains(got, row.want) {
					t.Errorf("error %q, without %q", got, row.want)
				}
				return
			}
			if got := eval(t, loadedEngine(t, files, Config{}), get()); got.Allowed {
				t.Error("the blocked host is let in")
			}
		})
	}
}

// What shares the place of the prepared package, or calls its functions, is refused:
// data holds neither rules nor functions.
func TestPreparedIsNotShared(t *testing.T) {
	for _, row := range []struct{ name, rego, want string }{
		{"a package below", "package authz.prepared.more\n\nhosts := []\n", "conflict"},
		{"a rule from above", "package authz\n\nprepared.hosts := []\n", "conflict"},
		{"a function called", "package other\n\nhost := data.authz.prepared.name(1)\n", "undefined function data.authz.prepared.name"},
		{"a function mocked with", "package other\n\nhost := 1 if count([]) == 0 with count as data.authz.prepared.name\n", ""},
		{"a function replaced", "package other\n\nhost := 1 if data.authz.decision with data.authz.prepared.name as 1\n", ""},
		{"a value", "package other\n\nhost := data.authz.prepared.blocked\n", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			files := tree{
				"a.rego":        asksPrepared,
				"prepared.rego": "package authz.prepared\n\nblocked := {\"shop.test\": true}\n\nname(x) := x\n",
				"other.rego":    row.rego,
			}
			if row.want != "" {
				if got := loadError(t, files, Config{}); !strings.Contains(got, row.want) {
					t.Errorf("error %q, without %q", got, row.want)
				}
				return
			}
			if got := eval(t, loadedEngine(t, files, Config{}), get()); got.Allowed {
				t.Error("the blocked host is let in")
			}
		})
	}
}

package policy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"authz/policies"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// 100 tables are 100,000 paths and take a minute.
var agreeTables = flag.Int("agree.tables", 20, "tables of the route differential, 1,000 paths each")

// The library matches routes in Rego for a plain `opa test`; this package does it
// for every request. They must say the same of any table and any path.
func TestRoutesAgreeWithTheLibrary(t *testing.T) {
	tables, paths := *agreeTables, 1000
	if testing.Short() {
		tables, paths = 10, 100
	}
	library, err := policies.Library.ReadFile("authz/route/route.rego")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	matches := 0
	for range tables {
		rows, table := randomTable(random)
		cases := make([]any, paths)
		for i := range cases {
			method, path := randomMethod(random), randomPath(random)
			cases[i] = map[string]any{"method": method, "path": path}
		}
		query := rego.New(
			rego.Query(`answers := [[
				[m | m := data.authz.route.matched(c.method, c.path)],
				[a | some a in data.authz.route.methods(c.path)],
			] | some c in input.cases]`),
			rego.Module("route.rego", string(library)),
			rego.Module("prepared.rego", "package authz.prepared\n\nrows := {}\n"),
			rego.Store(inmem.NewFromObject(map[string]any{"authz": map[string]any{"config": map[string]any{"routes": rows}}})),
			rego.Input(map[string]any{"cases": cases}),
		)
		results, err := query.Eval(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, answer := range results[0].Bindings["answers"].([]any) {
			c := cases[i].(map[string]any)
			method, path := c["method"].(string), c["path"].([]any)
			segments := make([]string, len(path))
			for j := range path {
				segments[j] = path[j].(string)
			}
			id, params, ok := table.Match(method, segments)
			want := "[]"
			if ok {
				matches++
				want = fmt.Sprint([]any{map[string]any{"id": id, "params": params}})
			}
			got := answer.([]any)
			if fmt.Sprint(got[0]) != want || fmt.Sprint(got[1]) != fmt.Sprint(table.AllowedMethods(segments)) {
				t.Fatalf("%s %q of %v\nRego %v, methods %v\nGo   %s, methods %v",
					method, segments, rows, got[0], got[1], want, table.AllowedMethods(segments))
			}
		}
	}
	t.Logf("%d paths, %d of them matched", tables*paths, matches)
	if matches < tables*paths/10 {
		t.Error("too few paths matched to mean anything")
	}
}

// Few words make many collisions.
var (
	agreeTexts  = []string{"a", "b", "new", "1", "01", "a-b", ""}
	agreeParams = []string{"{x}", "{x:uuid}", "{x:int}", "{x:slug}"}
	segments    = append(slices.Clone(agreeTexts), "A", "{x}", "*", "é", "12345678901234567890", "123456789012345678",
		"0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "0B0E7B9A-6A5D-4B0E-9D5C-0F6C1B2A3D4E", "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4", "1\n", "+1", "a:b", "...")
	agreeMethods = []string{"GET", "HEAD", "POST"}
)

// randomTable draws rows until they make a table: two of one shape do not.
func randomTable(random *rand.Rand) (map[string]any, *RouteTable) {
	rows := map[string]any{}
	table, _ := newRouteTable(rows)
	for i := range 30 {
		id := fmt.Sprintf("r%02d", i)
		rows[id] = map[string]any{"methods": []any{randomMethod(random)}, "path": randomPattern(random)}
		next, err := newRouteTable(rows)
		if err != nil {
			delete(rows, id)
			continue
		}
		table = next
	}
	return rows, table
}

func randomPattern(random *rand.Rand) string {
	depth := 1 + random.IntN(3)
	parts := make([]string, depth)
	for i := range parts {
		switch {
		case i == depth-1 && random.IntN(6) == 0:
			parts[i] = "{rest...}"
		case random.IntN(2) == 0:
			parts[i] = strings.Replace(agreeParams[random.IntN(len(agreeParams))], "x", fmt.Sprintf("x%d", i), 1)
		default:
			parts[i] = agreeTexts[random.IntN(len(agreeTexts))]
		}
	}
	return "/" + strings.Join(parts, "/")
}

func randomPath(random *rand.Rand) []any {
	path := make([]any, 1+random.IntN(4))
	for i := range path {
		path[i] = segments[random.IntN(len(segments))]
	}
	return path
}

func randomMethod(random *rand.Rand) string { return agreeMethods[random.IntN(len(agreeMethods))] }

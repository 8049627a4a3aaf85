package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"authz/schemas"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
	"github.com/open-policy-agent/opa/v1/util"
)

// compiled is a policy ready to decide. It never changes; a reload makes another
// one. Only the note of reported keys and the remembered decisions are written to,
// under their own locks; both go with the policy.
type compiled struct {
	revision string
	digest   string
	query    *query
	values   cache.InterQueryValueCache
	routes   *RouteTable // nil where there is no table
	store    storage.Store
	compiler *ast.Compiler // for tools that explain; the query holds it anyway
	warnings []string
	unknown  reported
	cache    *decisionCache // nil where nothing is remembered
}

// content is what several sources come to when loaded together.
type content struct {
	modules   map[string]*ast.Module
	data      map[string]any
	revisions []string // of the manifests that state one
	warnings  []string
}

func compile(ctx context.Context, s *settings, sources []source, digest string) (*compiled, error) {
	all, err := gather(s, sources)
	if err != nil {
		return nil, err
	}
	if err := all.checkSchemas(); err != nil {
		return nil, err
	}
	store := newStorage(all.data)
	compiler, err := all.compiler(ctx, s, store)
	if err != nil {
		return nil, err
	}
	if compiler, store, err = all.prepare(ctx, s, compiler, store); err != nil {
		return nil, err
	}
	if err := checkEntryPoint(compiler, all.data, s.decision); err != nil {
		return nil, err
	}
	routes, err := all.routeTable(compiler, s.routes)
	if err != nil {
		return nil, err
	}
	query, err := newQuery(compiler, store, s.decision)
	if err != nil {
		return nil, fmt.Errorf("entry point %s: %w", s.Decision, err)
	}
	values, err := newValueCache(ctx)
	if err != nil {
		return nil, err
	}
	return &compiled{
		revision: revision(all.revisions, len(sources), digest),
		digest:   digest,
		query:    query,
		values:   values,
		routes:   routes,
		store:    store,
		compiler: compiler,
		warnings: append(all.warnings, unknownKeys(all.modules, s.decision)...),
	}, nil
}

// newStorage holds data. What it gives out is shared by all evaluations; nobody writes
// to it.
func newStorage(data map[string]any) storage.Store {
	return inmem.NewFromObjectWithOpts(data, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
}

func gather(s *settings, sources []source) (*content, error) {
	all := &content{modules: map[string]*ast.Module{}, data: map[string]any{}}
	var bundles []*bundle.Bundle
	for i := range sources {
		b, err := sources[i].bundle(s.capabilities)
		if err != nil {
			return nil, err
		}
		for _, m := range b.Modules {
			all.modules[m.Path] = m.Parsed
		}
		if err := merge(all.data, b.Data, "data"); err != nil {
			return nil, fmt.Errorf("%s: %w", sources[i].name, err)
		}
		if b.Manifest.Revision != "" {
			all.revisions = append(all.revisions, b.Manifest.Revision)
		}
		if len(b.WasmModules) > 0 {
			all.warnings = append(all.warnings, sources[i].name+": WebAssembly modules are not used")
		}
		all.warnings = append(all.warnings, sources[i].strays()...)
		bundles = append(bundles, b)
	}
	return all, checkRoots(sources, bundles)
}

// merge adds one tree of data to another; only objects may meet.
func merge(into, from map[string]any, path string) error {
	for name, value := range from {
		old, exists := into[name]
		if !exists {
			into[name] = value
			continue
		}
		oldObject, ok1 := old.(map[string]any)
		newObject, ok2 := value.(map[string]any)
		if !ok1 || !ok2 {
			return fmt.Errorf("%s.%s is defined twice", path, name)
		}
		if err := merge(oldObject, newObject, path+"."+name); err != nil {
			return err
		}
	}
	return nil
}

// checkRoots: what a manifest claims for its bundle nobody else may fill. OPA's
// reader has held each bundle to its own roots already. A root of "" claims
// nothing here: it is what a directory without a manifest has.
func checkRoots(sources []source, bundles []*bundle.Bundle) error {
	for i, owner := range bundles {
		roots := slices.DeleteFunc(slices.Clone(*owner.Manifest.Roots), func(r string) bool { return r == "" })
		for j, other := range bundles {
			if i == j {
				continue
			}
			for _, m := range other.Modules {
				path, err := storage.NewPathForRef(m.Parsed.Package.Path)
				if err == nil && bundle.RootPathsContain(roots, strings.TrimPrefix(path.String(), "/")) {
					return fmt.Errorf("%s: %s belongs to %s", m.Path, m.Parsed.Package, sources[i].name)
				}
			}
			for _, root := range roots {
				if at, ok := dataAt(other.Data, strings.Split(root, "/")); ok {
					return fmt.Errorf("%s: data at %s (%s) belongs to %s", sources[j].name, root, typeName(at), sources[i].name)
				}
			}
		}
	}
	return nil
}

func (c *content) checkSchemas() error {
	faults := []error{checkRefs(c.data, "data")}
	for _, name := range slices.Sorted(maps.Keys(c.modules)) {
		faults = append(faults, checkModule(c.modules[name]))
	}
	return errors.Join(faults...)
}

func (c *content) compiler(ctx context.Context, s *settings, store storage.Store) (*ast.Compiler, error) {
	schema, err := inputSchema()
	if err != nil {
		return nil, err
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	compiler := ast.NewCompiler().
		WithCapabilities(s.capabilities).
		WithStrict(true).
		WithSchemas(schema).
		WithUseTypeCheckAnnotations(true).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if compiler.Compile(c.modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

// inputSchema is the schema of every policy's input, as `opa check --schema
// schemas/input.json` sets it, and by the name that annotations give it when
// opa is pointed at the whole directory.
var inputSchema = sync.OnceValues(func() (*ast.SchemaSet, error) {
	var schema any
	if err := util.NewJSONDecoder(bytes.NewReader(schemas.Input)).Decode(&schema); err != nil {
		return nil, fmt.Errorf("reading the input schema: %w", err)
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, schema)
	set.Put(ast.MustParseRef("schema.input"), schema)
	return set, nil
})

// checkEntryPoint: a decision that can never be defined would refuse every
// request with a 500; better not to load it.
func checkEntryPoint(compiler *ast.Compiler, data map[string]any, entry ast.Ref) error {
	names := make([]string, 0, len(entry)-1)
	for _, t := range entry[1:] {
		names = append(names, string(t.Value.(ast.String)))
	}
	if _, ok := dataAt(data, names); ok {
		return nil
	}
	rules := compiler.GetRulesWithPrefix(entry)
	for i := 2; i < len(entry); i++ { // a rule above may hold it in its value
		rules = append(rules, compiler.GetRulesExact(entry[:i])...)
	}
	if slices.ContainsFunc(rules, func(r *ast.Rule) bool { return len(r.Head.Args) == 0 }) {
		return nil
	}
	return fmt.Errorf("entry point %s: no rule and no data of that name", strings.Join(names, "/"))
}

func (c *content) routeTable(compiler *ast.Compiler, path []string) (*RouteTable, error) {
	name := strings.Join(path, "/")
	if len(compiler.GetRulesWithPrefix(dataRef(path))) > 0 {
		return nil, fmt.Errorf("%s: the route table is data, it cannot be made by rules", name)
	}
	at, ok := dataAt(c.data, path)
	if !ok {
		return nil, nil
	}
	table, err := newRouteTable(at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return table, nil
}

func dataAt(data map[string]any, path []string) (any, bool) {
	var at any = data
	for _, name := range path {
		object, _ := at.(map[string]any)
		next, ok := object[name]
		if !ok {
			return nil, false
		}
		at = next
	}
	return at, true
}

// revision names a policy for people: what its bundle says, else the beginning
// of the digest. With several sources the digest stays, because the bundle's
// word is then only about a part.
func revision(stated []string, sources int, digest string) string {
	short := digest[:12]
	switch {
	case len(stated) == 0:
		return short
	case sources == 1:
		return stated[0]
	}
	return strings.Join(stated, "+") + "@" + short
}

// newValueCache keeps what built-ins compile (schemas above all) for the life of
// one policy. It is bounded because its keys may come from requests.
func newValueCache(ctx context.Context) (cache.InterQueryValueCache, error) {
	config, err := cache.ParseCachingConfig([]byte(`{"inter_query_builtin_value_cache": {"max_num_entries": 256}}`))
	if err != nil {
		return nil, err
	}
	return cache.NewInterQueryValueCache(ctx, config), nil
}

package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// What a policy library works out of its data before there is any request lies in
// one package that reads no input. It is evaluated here once, at load, and its
// values take the place of its rules: what is left to do for a request is to look
// them up. Under a stock OPA the rules are evaluated where they are asked; the
// values are the same. What would not be the same is refused: data holds no sets and
// no keys but strings (a set made a list holds nobody by name, and a "not" before it
// lets everybody in), and what reads a clock would read it once.
var (
	preparedPackage = []string{"authz", "prepared"}
	// configErrors is the library's own word on the data; any member keeps the
	// policy from being loaded.
	configErrors = []string{"authz", "config_errors"}
)

var errReadsInput = errors.New("data.authz.prepared is worked out at load, it cannot read the input")

// prepare folds the package into the data. The compiler has compiled everything over
// the store; without the package they are given back, else a compiler without it and a
// store with its values.
func (c *content) prepare(ctx context.Context, s *settings, compiler *ast.Compiler, store storage.Store) (*ast.Compiler, storage.Store, error) {
	ref := dataRef(preparedPackage)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.modules)), func(name string) bool {
		return !c.modules[name].Package.Path.Equal(ref)
	})
	if len(names) == 0 {
		return compiler, store, nil
	}
	values, err := preparedValues(ctx, ref, compiler, store)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		delete(c.modules, name)
	}
	if err := merge(c.data, map[string]any{preparedPackage[0]: map[string]any{preparedPackage[1]: values}}, "data"); err != nil {
		return nil, nil, err
	}
	store = newStorage(c.data)
	if !cutOut(compiler, ref, names) {
		compiler, err = c.compiler(ctx, s, store)
	}
	return compiler, store, err
}

// cutOut takes modules that fill a package out of what was compiled, as if it had been
// compiled without them: nothing else that a compiler works out depends on whether a
// reference leads to rules or to data. It leaves alone, and says so, what it is not sure
// of: rules of others in the same place, and functions that others call.
func cutOut(compiler *ast.Compiler, ref ast.Ref, names []string) bool {
	parent := compiler.RuleTree.Find(ref[:len(ref)-1])
	if parent == nil || len(parent.Values) > 0 {
		return false
	}
	last := ref[len(ref)-1].Value
	own := map[*ast.Module]bool{}
	for _, name := range names {
		own[compiler.Modules[name]] = true
	}
	foreign := false
	var functions []ast.Ref
	parent.Child(last).DepthFirst(func(node *ast.TreeNode) bool {
		for _, rule := range node.Values {
			foreign = foreign || !own[rule.Module]
			if len(rule.Head.Args) > 0 {
				functions = append(functions, rule.Ref().GroundPrefix())
			}
		}
		return foreign
	})
	for _, module := range compiler.Modules {
		if foreign || own[module] {
			continue
		}
		ast.WalkRefs(module, func(r ast.Ref) bool {
			foreign = foreign || slices.ContainsFunc(functions, r.HasPrefix)
			return foreign
		})
	}
	if foreign {
		return false
	}
	for _, name := range names {
		delete(compiler.Modules, name)
	}
	delete(parent.Children, last)
	parent.Sorted = slices.DeleteFunc(parent.Sorted, func(v ast.Value) bool { return v.Compare(last) == 0 })
	return true
}

// preparedValues evaluates the package, once the library has nothing to say against the
// data.
func preparedValues(ctx context.Context, ref ast.Ref, compiler *ast.Compiler, store storage.Store) (any, error) {
	reads, err := dependencies.Base(compiler, ast.NewBody(ast.NewExpr(ast.NewTerm(ref))))
	if err != nil {
		return nil, fmt.Errorf("reading what data.authz.prepared depends on: %w", err)
	}
	if slices.ContainsFunc(reads, func(r ast.Ref) bool { return r.HasPrefix(ast.InputRootRef) }) {
		return nil, errReadsInput
	}
	ended, stop := endedBy(ctx)
	defer stop()
	// evaluate gives null where there is nothing.
	evaluate := func(ref ast.Ref, options ...option) (ast.Value, error) {
		q, err := newQuery(compiler, store, ref)
		if err != nil {
			return nil, err
		}
		value, err := q.ask(ctx, append(options, ended)...)
		if value == nil {
			value = ast.NullValue
		}
		return value, err
	}
	said, err := evaluate(dataRef(configErrors))
	if err != nil {
		return nil, fmt.Errorf("checking the configuration data: %w", err)
	}
	faults, err := ast.JSON(said)
	if err != nil {
		return nil, fmt.Errorf("checking the configuration data: %w", err)
	}
	if list, ok := faults.([]any); ok && len(list) > 0 {
		return nil, faultsError(list)
	}
	changing := builtins.NDBCache{}
	value, err := evaluate(ref, func(q *topdown.Query) { q.WithNDBuiltinCache(changing) })
	if err != nil {
		return nil, fmt.Errorf("preparing the configuration data: %w", err)
	}
	values, err := asData(value, ref.String())
	if err != nil {
		return nil, fmt.Errorf("preparing the configuration data: %w", err)
	}
	for name := range changing {
		// Schemas are flagged for what they might fetch, which they may not here.
		if name != ast.JSONMatchSchema.Name && name != ast.JSONSchemaVerify.Name {
			return nil, fmt.Errorf("%s is worked out at load, it cannot call %s", ref, name)
		}
	}
	return values, nil
}

// asData is a value as data can hold it.
func asData(v ast.Value, at string) (any, error) {
	switch v := v.(type) {
	case ast.Set:
		return nil, fmt.Errorf("%s is a set, which data cannot hold: make it an object or a list", at)
	case *ast.Array:
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = asData(v.Elem(i).Value, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case ast.Object:
		out := make(map[string]any, v.Len())
		return out, v.Iter(func(key, value *ast.Term) (err error) {
			name, ok := key.Value.(ast.String)
			if !ok {
				return fmt.Errorf("%s has a key that is no string, which data cannot hold", at)
			}
			out[string(name)], err = asData(value.Value, at+"."+string(name))
			return err
		})
	}
	return ast.JSON(v)
}

// faultsError names every fault of the data, as the library's lint words it.
func faultsError(list []any) error {
	faults := make([]error, len(list))
	for i, item := range list {
		fault, _ := item.(map[string]any)
		faults[i] = fmt.Errorf("data.authz.config: %v: %v", fault["path"], fault["fault"])
	}
	return errors.Join(faults...)
}

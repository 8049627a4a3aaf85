package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// What a policy library works out of its data before there is any request lies in
// one package that reads no input. It is evaluated here once, at load, and its
// values take the place of its rules: what is left to do for a request is to look
// them up. Under a stock OPA the rules are evaluated where they are asked; the
// values are the same.
var (
	preparedPackage = []string{"authz", "prepared"}
	// configErrors is the library's own word on the data; any member keeps the
	// policy from being loaded.
	configErrors = []string{"authz", "config_errors"}
)

var errReadsInput = errors.New("data.authz.prepared is worked out at load, it cannot read the input")

// prepare folds the package into the data. Without it there is nothing to do.
func (c *content) prepare(ctx context.Context, s *settings) error {
	ref := dataRef(preparedPackage)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.modules)), func(name string) bool {
		return !c.modules[name].Package.Path.Equal(ref)
	})
	if len(names) == 0 {
		return nil
	}
	store := inmem.NewFromObjectWithOpts(c.data, inmem.OptReturnASTValuesOnRead(true))
	compiler, err := c.compiler(ctx, s, store)
	if err != nil {
		return err
	}
	reads, err := dependencies.Base(compiler, ast.NewBody(ast.NewExpr(ast.NewTerm(ref))))
	if err != nil {
		return fmt.Errorf("reading what data.authz.prepared depends on: %w", err)
	}
	if slices.ContainsFunc(reads, func(r ast.Ref) bool { return r.HasPrefix(ast.InputRootRef) }) {
		return errReadsInput
	}
	evaluate := func(path []string) (any, error) {
		results, err := rego.New(
			rego.ParsedQuery(ast.NewBody(ast.NewExpr(ast.NewTerm(dataRef(path))))),
			rego.Compiler(compiler), rego.Store(store),
		).Eval(ctx)
		if err != nil || len(results) == 0 {
			return nil, err
		}
		return results[0].Expressions[0].Value, nil
	}
	faults, err := evaluate(configErrors)
	if err != nil {
		return fmt.Errorf("checking the configuration data: %w", err)
	}
	if list, ok := faults.([]any); ok && len(list) > 0 {
		return faultsError(list)
	}
	values, err := evaluate(preparedPackage)
	if err != nil {
		return fmt.Errorf("preparing the configuration data: %w", err)
	}
	for _, name := range names {
		delete(c.modules, name)
	}
	return merge(c.data, map[string]any{preparedPackage[0]: map[string]any{preparedPackage[1]: values}}, "data")
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

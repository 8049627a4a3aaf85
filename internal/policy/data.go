package policy

import (
	"context"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// Data reads what the data of the policy in force says at a path, such as
// "authz/config/routes": plain JSON-like values, the caller's own. It is nil where
// the data says nothing. For tools that describe a policy; a decision does not
// need it. Rules are not data.
func (e *Engine) Data(ctx context.Context, path string) (any, error) {
	policy := e.current.Load()
	if policy == nil {
		return nil, ErrNotLoaded
	}
	names, ok := splitPath(path)
	if !ok {
		return nil, fmt.Errorf("%q is not a path such as %s", path, DefaultRoutes)
	}
	value, err := storage.ReadOne(ctx, policy.store, storage.Path(names))
	switch {
	case storage.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if v, ok := value.(ast.Value); ok {
		return ast.JSON(v)
	}
	return value, nil
}

// Match says which row of the route table in force a request is for.
func (e *Engine) Match(method string, segments []string) (id string, ok bool) {
	policy := e.current.Load()
	if policy == nil {
		return "", false
	}
	id, _, ok = policy.routes.Match(method, segments)
	return id, ok
}

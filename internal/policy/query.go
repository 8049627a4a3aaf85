package policy

import (
	"context"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// query asks a compiled policy for what lies at one reference. It does what OPA's rego
// package does for such a query, without that package: its other targets bring a
// compiler to WebAssembly along, a megabyte and a half that nobody here calls.
type query struct {
	compiler *ast.Compiler
	store    storage.Store
	body     ast.Body
	made     ast.QueryCompiler
	value    ast.Var // where the body leaves the answer
}

// newQuery compiles the query. It never changes, and may be asked by many at once.
func newQuery(compiler *ast.Compiler, store storage.Store, ref ast.Ref) (*query, error) {
	q := &query{compiler: compiler, store: store, made: compiler.QueryCompiler(), value: ast.Var(ast.WildcardPrefix + "value")}
	var err error
	q.body, err = q.made.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(ref.Copy()), ast.NewTerm(q.value))))
	if err != nil {
		return nil, fmt.Errorf("compiling the query for %s: %w", ref, err)
	}
	return q, nil
}

// option is something about one evaluation.
type option func(*topdown.Query)

// ask evaluates; the value is nil where the reference is undefined. It ends with the
// context, unless an option says what else ends it.
func (q *query) ask(ctx context.Context, options ...option) (value ast.Value, err error) {
	txn, err := q.store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the data: %w", err)
	}
	defer q.store.Abort(ctx, txn)
	evaluation := topdown.NewQuery(q.body).
		WithQueryCompiler(q.made).
		WithCompiler(q.compiler).
		WithStore(q.store).
		WithTransaction(txn).
		WithMetrics(metrics.NoOp())
	for _, o := range options {
		o(evaluation)
	}
	err = evaluation.Iter(ctx, func(result topdown.QueryResult) error {
		if value == nil {
			value = result[q.value].Value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// endedBy has a context end an evaluation. What stop returns must be called when it is
// over.
func endedBy(ctx context.Context) (o option, stop func() bool) {
	cancel := topdown.NewCancel()
	return func(q *topdown.Query) { q.WithCancel(cancel) }, context.AfterFunc(ctx, cancel.Cancel)
}

// recordedBy has a tracer told of everything that is evaluated: with rule indexing off,
// nothing is left out unseen.
func recordedBy(t topdown.QueryTracer) option {
	return func(q *topdown.Query) { q.WithQueryTracer(t).WithIndexing(false) }
}

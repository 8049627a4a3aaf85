package policy

import (
	"fmt"
	"testing"

	"authz/policies"
	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/metrics"
)

func TestProbe(t *testing.T) {
	e := newEngine(t, nil, Config{Path: "../../demo/policies", Library: policies.Library})
	if err := e.Load(t.Context()); err != nil { t.Fatal(err) }
	c := e.current.Load()
	r := get()
	tok := &check.Token{Status: check.TokenValid, Via: "header", Subject: "alice", Roles: []string{"reader"}}
	in, _, _ := newInput(r, tok, c.routes)
	buf := topdown.NewBufferTracer()
	rs, err := c.query.Eval(t.Context(), rego.EvalParsedInput(in), rego.EvalMetrics(metrics.NoOp()), rego.EvalRuleIndexing(false), rego.EvalEarlyExit(false), rego.EvalQueryTracer(buf))
	fmt.Println(len(rs), err, len(*buf))
	for i, ev := range *buf {
		if i > 400 { break }
		loc := ""
		if ev.Location != nil { loc = fmt.Sprintf("%s:%d:%d %.40q", ev.Location.File, ev.Location.Row, ev.Location.Col, ev.Location.Text) }
		fmt.Printf("%d<-%d %s %T %.100v | %s\n", ev.QueryID, ev.ParentID, ev.Op, ev.Node, ev.Node, loc)
	}
}

package policy

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// capabilitiesFile lists what a policy may use of OPA, one name a line: everything of
// the version in go.mod but the built-ins that reach the network or the host. It is a
// list and not a subtraction so that a built-in which a later OPA brings stays off
// until somebody has read what it does; a test says so.
//
//go:embed capabilities.txt
var capabilitiesFile string

// withheld are the built-ins a policy may use only where the operator says so: a
// decision is a function of its input and data (contract), and a policy that can
// call out can leak what it sees.
var withheld = []*ast.Builtin{ast.HTTPSend, ast.OPARuntime, ast.NetLookupIPAddr}

// baseCapabilities is what OPA has and the file lists.
var baseCapabilities = sync.OnceValue(func() *ast.Capabilities {
	listed := map[string]bool{}
	for line := range strings.Lines(capabilitiesFile) {
		listed[strings.TrimSpace(line)] = true
	}
	caps := ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
	caps.WasmABIVersions = nil
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool { return !listed["builtin "+b.Name] })
	caps.Features = slices.DeleteFunc(caps.Features, func(name string) bool { return !listed["feature "+name] })
	caps.FutureKeywords = slices.DeleteFunc(caps.FutureKeywords, func(name string) bool { return !listed["keyword "+name] })
	return caps
})

// newCapabilities is the file plus the withheld built-ins named. A nil list of
// hosts means none, unless a built-in that needs the network is allowed: then it
// means any, as in OPA.
func newCapabilities(allow, hosts []string) (*ast.Capabilities, error) {
	caps := *baseCapabilities()
	caps.Builtins = slices.Clone(caps.Builtins)
	caps.AllowNet = slices.Clone(hosts)
	network := false
	for _, name := range allow {
		i := slices.IndexFunc(withheld, func(b *ast.Builtin) bool { return b.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%q is not a built-in that is off", name)
		}
		caps.Builtins = append(caps.Builtins, withheld[i])
		network = network || name != ast.OPARuntime.Name
	}
	if caps.AllowNet == nil && !network {
		caps.AllowNet = []string{} // nil would mean every host
	}
	slices.SortFunc(caps.Builtins, func(a, b *ast.Builtin) int { return strings.Compare(a.Name, b.Name) })
	return &caps, nil
}

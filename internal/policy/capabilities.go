package policy

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// capabilitiesFile lists what a policy may use of OPA: everything of the version
// in go.mod but the built-ins that reach the network or the host, and no host to
// reach. It is a list and not a subtraction so that a built-in which a later OPA
// brings stays off until somebody has read what it does; a test says so.
//
//go:embed capabilities.json
var capabilitiesFile []byte

// withheld are the built-ins a policy may use only where the operator says so: a
// decision is a function of its input and data (contract), and a policy that can
// call out can leak what it sees.
var withheld = []*ast.Builtin{ast.HTTPSend, ast.OPARuntime, ast.NetLookupIPAddr}

// CapabilitiesJSON is the capabilities file, for `opa check --capabilities`.
func CapabilitiesJSON() []byte { return bytes.Clone(capabilitiesFile) }

var baseCapabilities = sync.OnceValues(func() (*ast.Capabilities, error) {
	return ast.LoadCapabilitiesJSON(bytes.NewReader(capabilitiesFile))
})

// newCapabilities is the file plus the withheld built-ins named. A nil list of
// hosts means none, unless a built-in that needs the network is allowed: then it
// means any, as in OPA.
func newCapabilities(allow, hosts []string) (*ast.Capabilities, error) {
	base, err := baseCapabilities()
	if err != nil {
		return nil, fmt.Errorf("reading the built-in capabilities: %w", err)
	}
	caps := *base
	caps.Builtins = slices.Clone(base.Builtins)
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
	slices.SortFunc(caps.Builtins, func(a, b *ast.Builtin) int {
		return bytes.Compare([]byte(a.Name), []byte(b.Name))
	})
	return &caps, nil
}

package policy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Config says which policies decide and what they may cost.
type Config struct {
	// Path is a directory of Rego and data files, or an OPA bundle (.tar.gz).
	// A directory is read as `opa build -b` reads it: data.json and data.yaml are
	// mounted where they lie, _test.rego files and names beginning with "." are
	// left out. Needed, unless Paths is given.
	Path string
	// Paths is given instead of Path where there are several. They are loaded
	// together; data that two of them define, or content below the roots that a
	// bundle's manifest claims for itself, is an error.
	Paths []string
	// Library is loaded beside the paths: the policies built into the program.
	// Optional. It is not watched.
	Library fs.FS
	// Bundles are fetched by Fetch and loaded beside the paths. Optional.
	Bundles Bundles

	// Decision is the entry point, a rule or document as a path below data.
	// Default "authz/decision".
	Decision string
	// Routes is where the route table lies in the data, as a path. Default
	// "authz/config/routes". Where nothing lies there is no table.
	Routes string

	// Timeout is the longest evaluation. Default 250ms.
	Timeout time.Duration
	// MaxConcurrent is how many evaluations may be under way at once. One that
	// ignores its deadline counts until it really ends. Default four a processor.
	MaxConcurrent int
	// Poll is how often the files are looked at even without a change notice.
	// Default 30s.
	Poll time.Duration

	// CacheBytes bounds the memory for decisions that are remembered. 0: none is.
	CacheBytes int64

	// AllowBuiltins switches on built-ins that are off because they reach the
	// network or the host: http.send, net.lookup_ip_addr, opa.runtime.
	AllowBuiltins []string
	// AllowNet lists the hosts that http.send and net.lookup_ip_addr may reach.
	// Nil means any, once one of them is allowed.
	AllowNet []string
}

// The defaults of Config.
const (
	DefaultDecision = "authz/decision"
	DefaultRoutes   = "authz/config/routes"
	DefaultTimeout  = 250 * time.Millisecond
	DefaultPoll     = 30 * time.Second
)

// settings is a Config that has been validated and completed.
type settings struct {
	Config
	decision     ast.Ref
	routes       []string
	capabilities *ast.Capabilities
	remotes      []remote
}

// complete reports every fault at once and fills in the defaults.
func (c Config) complete() (settings, error) {
	s := settings{Config: c}
	var faults []error
	refuse := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	switch {
	case c.Path != "" && len(c.Paths) > 0:
		refuse("Path and Paths: give one of them")
	case c.Path != "":
		s.Paths = []string{c.Path}
	case len(c.Paths) == 0 && c.Library == nil && c.Bundles.Config == "":
		refuse("Path: missing")
	}
	if s.Decision == "" {
		s.Decision = DefaultDecision
	}
	if s.Routes == "" {
		s.Routes = DefaultRoutes
	}
	if names, ok := splitPath(s.Decision); ok {
		s.decision = dataRef(names)
	} else {
		refuse("Decision: %q is not a path such as %s", s.Decision, DefaultDecision)
	}
	var ok bool
	if s.routes, ok = splitPath(s.Routes); !ok {
		refuse("Routes: %q is not a path such as %s", s.Routes, DefaultRoutes)
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.MaxConcurrent == 0 {
		s.MaxConcurrent = 4 * runtime.GOMAXPROCS(0)
	}
	if s.Poll == 0 {
		s.Poll = DefaultPoll
	}
	if s.Timeout < 0 || s.MaxConcurrent < 0 || s.Poll < 0 || s.CacheBytes < 0 {
		refuse("Timeout, MaxConcurrent, Poll and CacheBytes cannot be negative")
	}
	var err error
	if c.Bundles.Config != "" {
		if c.Bundles.Dir == "" {
			refuse("Bundles: no directory to keep them in")
		}
		manager, remotes, err := c.Bundles.open()
		if err != nil {
			refuse("Bundles: %w", err)
		} else {
			manager.Stop(context.Background())
			s.remotes = remotes
		}
	}
	if s.capabilities, err = newCapabilities(c.AllowBuiltins, c.AllowNet); err != nil {
		refuse("AllowBuiltins: %w", err)
	}
	return s, errors.Join(faults...)
}

// splitPath splits "authz/decision"; a leading "/" is forgiven.
func splitPath(path string) ([]string, bool) {
	names := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "\"\n") {
			return nil, false
		}
	}
	return names, true
}

func dataRef(names []string) ast.Ref {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, name := range names {
		ref = append(ref, ast.StringTerm(name))
	}
	return ref
}

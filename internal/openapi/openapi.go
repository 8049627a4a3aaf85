// Package openapi turns an OpenAPI document (3.0 or 3.1) into the policy data of
// the Rego library: which operations there are, who may call them, and what their
// requests look like.
//
// The document describes an API; the data decides about it. So two rules hold:
//
//   - Nothing is lost in silence. What the data cannot say is a Loss, with a JSON
//     pointer into the document and what it means: that something the document
//     allows is refused (narrower), that something the document forbids is not
//     checked (wider), or neither.
//   - Who may call an operation is never loosened. A requirement that cannot be
//     carried over (an API key, say) leaves the route closed to everybody, not open.
//
// A document is a stranger's text. It is bounded in size, depth and in what its
// references unfold to; a reference leads into the document or to a file in its own
// folder, never elsewhere, and nothing is fetched.
//
// kin-openapi says whether a document is valid. The translation reads the document
// itself, not kin-openapi's model of it, because every Loss needs its exact place
// and unknown keywords must be seen to be reported.
//
// Responses, callbacks and webhooks are no business of a request's policy.
package openapi

import (
	"fmt"
	"sort"
	"strings"
)

// Options say what the document cannot.
type Options struct {
	// BasePath is put before every path instead of what the document's servers
	// say. Nil: the servers are believed.
	BasePath *string
	// Mount is where the data will lie, as a path below the policy folder:
	// "authz/config/routes" for a data.yaml there. Default: the policy folder
	// itself. One of "", "authz", "authz/config", "authz/config/routes".
	Mount string
	// Tokens names security schemes that stand for the token that the sidecar
	// verifies although the document cannot say so: an API key that is a cookie
	// with a JWT in it, for example.
	Tokens []string
}

// Import is what became of a document.
type Import struct {
	Routes []Route // by id
	Report Report
	mount  []string
}

// Route is one operation. Zero values say nothing: a route that is neither Public
// nor Authenticated and has no Scopes and Roles is closed.
type Route struct {
	ID     string
	Method string
	Path   string // in the route table's syntax
	Source string // JSON pointer of the operation
	Title  string // the operation's summary

	Public        bool
	Authenticated bool
	Scopes        []string
	Roles         []string

	// Schemas of objects with one property for each parameter; nil where the
	// document says nothing.
	Params, Query, Headers map[string]any
	Body                   *Body
}

// Body is what the route's requests carry.
type Body struct {
	Required     bool
	ContentTypes []string
	// Schema is nil where the sidecar cannot read such bodies. An empty one takes
	// any body that can be read.
	Schema any
}

// File imports the document in a file. References may lead to other files in the
// file's folder and below it.
func File(name string, o Options) (*Import, error) {
	lib, err := openFile(name)
	if err != nil {
		return nil, err
	}
	return lib.translate(o)
}

// Text imports a document that stands alone: one with a reference to another file
// is refused. The name is for messages.
func Text(name string, text []byte, o Options) (*Import, error) {
	lib, err := openText(name, text)
	if err != nil {
		return nil, err
	}
	return lib.translate(o)
}

func (l *library) translate(o Options) (out *Import, err error) {
	mount, err := mountPath(o.Mount)
	if err != nil {
		return nil, err
	}
	defer func() {
		// kin-openapi reads what a stranger wrote. A slip there refuses the document.
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("%s: cannot be read: %v", l.root.name, r)
		}
	}()
	version, err := l.validate()
	if err != nil {
		return nil, err
	}
	t := &translation{
		library: l, options: o, is31: strings.HasPrefix(version, "3.1"),
		report: &Report{Document: l.root.name, Version: version},
	}
	routes := t.operations()
	// Not slices.SortFunc: for a struct of this size it is 40 kB of program.
	sort.Slice(routes, func(i, j int) bool { return routes[i].ID < routes[j].ID })
	t.report.finish(routes)
	return &Import{Routes: routes, Report: *t.report, mount: mount}, nil
}

// translation is the state of one import. It is used by one goroutine.
type translation struct {
	*library
	options Options
	is31    bool
	report  *Report
	reach   map[string]bool    // whether a schema leads back to itself, by place
	edges   map[string][]place // where a schema's references lead, by place
	spent   int                // schema nodes written, over the whole document
}

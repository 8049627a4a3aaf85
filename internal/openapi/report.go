package openapi

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// Effect says what a loss means for requests.
type Effect string

const (
	// Narrower: something that the document allows is refused.
	Narrower Effect = "narrower"
	// Wider: something that the document forbids is not checked.
	Wider Effect = "wider"
	// Neither: the same requests pass; something else is different.
	Neither Effect = "neither"
)

// Loss is something that was not carried over as the document has it.
type Loss struct {
	// Code is stable: it never changes its meaning. docs/openapi.md lists them.
	Code    string `json:"code"`
	Effect  Effect `json:"effect"`
	Pointer string `json:"pointer"` // JSON pointer as a URI fragment, after a file name where it is another file
	Message string `json:"message"`
}

// Report counts what was found and lists what was lost.
type Report struct {
	Document   string `json:"document"`
	Version    string `json:"version"` // the document's OpenAPI version
	Operations Count  `json:"operations"`
	Parameters Count  `json:"parameters"`
	Bodies     Count  `json:"bodies"`
	// Access counts routes by who may call them.
	Access struct {
		Public        int `json:"public"`
		Authenticated int `json:"authenticated"` // a token, and no more
		Scoped        int `json:"scoped"`        // a token with scopes or roles
		Closed        int `json:"closed"`        // nobody: the requirement could not be carried over
	} `json:"access"`
	Losses []Loss `json:"losses"`
}

// Count is how many there are in the document and how many came over whole or in
// part.
type Count struct {
	Found   int `json:"found"`
	Carried int `json:"carried"`
}

func (r *Report) lose(code string, effect Effect, at place, format string, args ...any) {
	r.Losses = append(r.Losses, Loss{code, effect, at.String(), fmt.Sprintf(format, args...)})
}

// finish counts the routes, sorts the losses by place, and tells each once: a
// schema is met once for every operation that refers to it.
func (r *Report) finish(routes []Route) {
	for _, route := range routes {
		switch {
		case route.Public:
			r.Access.Public++
		case len(route.Scopes) > 0 || len(route.Roles) > 0:
			r.Access.Scoped++
		case route.Authenticated:
			r.Access.Authenticated++
		default:
			r.Access.Closed++
		}
	}
	sort.Slice(r.Losses, func(i, j int) bool {
		a, b := &r.Losses[i], &r.Losses[j]
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Message, b.Message)) < 0
	})
	r.Losses = slices.Compact(r.Losses)
	if r.Losses == nil {
		r.Losses = []Loss{}
	}
}

package policy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// What is worth trying. What the matched route itself names comes first, then what
// the rest of the data names, then what the rules compare with.

// maxNames bounds the roles, and the scopes, that are tried.
const maxNames = 40

func (s *search) add(c candidate) { s.candidates = append(s.candidates, &c) }

func (s *search) think(ctx context.Context, routes []string) error {
	row, err := s.row(ctx, routes)
	if err != nil {
		return err
	}
	var all vocabulary
	all.read(row)
	data, err := storage.ReadOne(ctx, s.policy.store, storage.Path{})
	if err != nil {
		return err
	}
	if root, ok := data.(ast.Value); ok {
		all.read(root)
	}
	all.readRules(s.policy.compiler)

	if !s.valid {
		s.add(candidate{Change: Change{Kind: "token"}, cost: 1, make: func(_ *check.Request, t *check.Token) {
			*t = check.Token{Status: check.TokenValid, Via: "header", Subject: "somebody", Claims: map[string]any{"sub": "somebody"}}
		}})
	}
	s.thinkOfRequest(&all)
	s.thinkOfCaller(&all, row)
	return nil
}

// row is what the table says of the matched route; nil where there is none.
func (s *search) row(ctx context.Context, routes []string) (ast.Value, error) {
	id, _, ok := s.policy.routes.Match(s.request.HTTP.Method, s.request.Path)
	if !ok {
		return nil, nil
	}
	row, err := storage.ReadOne(ctx, s.policy.store, append(slices.Clone(storage.Path(routes)), id))
	if storage.IsNotFound(err) {
		return nil, nil
	}
	value, _ := row.(ast.Value)
	return value, err
}

func (s *search) thinkOfCaller(all *vocabulary, row ast.Value) {
	for _, role := range all.roles {
		if s.token == nil || !slices.Contains(s.token.Roles, role) {
			s.add(candidate{Change: Change{Kind: "role", Value: role}, cost: 1, ofID: true,
				make: func(_ *check.Request, t *check.Token) { t.Roles = append(t.Roles, role) }})
		}
	}
	if scopes := texts(field(row, "scopes")); len(scopes) > 1 {
		s.add(candidate{Change: Change{Kind: "scope", Value: strings.Join(scopes, " ")}, cost: 1, ofID: true,
			make: func(_ *check.Request, t *check.Token) { t.Scopes = append(t.Scopes, scopes...) }})
	}
	for _, scope := range all.scopes {
		if s.token == nil || !slices.Contains(s.token.Scopes, scope) {
			s.add(candidate{Change: Change{Kind: "scope", Value: scope}, cost: 1, ofID: true,
				make: func(_ *check.Request, t *check.Token) { t.Scopes = append(t.Scopes, scope) }})
		}
	}
	_, params, _ := s.policy.routes.Match(s.request.HTTP.Method, s.request.Path)
	if owner := field(row, "owner"); owner != nil {
		claim := plainText(field(owner, "claim"))
		param := plainText(field(owner, "param"))
		if value, given := params[param]; given && claim != "" {
			s.claim(claim, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		s.subject(params[name])
	}
	for _, name := range all.subjects {
		s.subject(name)
	}
	for _, c := range all.claims {
		s.claim(c.Name, c.Value)
	}
}

func (s *search) subject(value string) {
	s.add(candidate{Change: Change{Kind: "subject", Value: value}, cost: 1, ofID: true,
		make: func(_ *check.Request, t *check.Token) {
			t.Subject = value
			setClaim(t, []string{"sub"}, value)
		}})
}

func (s *search) claim(path, value string) {
	s.add(candidate{Change: Change{Kind: "claim", Name: path, Value: value}, cost: 1, ofID: true,
		make: func(_ *check.Request, t *check.Token) {
			if path == "sub" {
				t.Subject = value
			}
			setClaim(t, strings.Split(path, "."), value)
		}})
}

func setClaim(t *check.Token, path []string, value string) {
	if t.Claims == nil {
		t.Claims = map[string]any{}
	}
	at := t.Claims
	for _, name := range path[:len(path)-1] {
		inner, _ := at[name].(map[string]any)
		if inner = maps.Clone(inner); inner == nil {
			inner = map[string]any{}
		}
		at[name] = inner
		at = inner
	}
	at[path[len(path)-1]] = value
}

func (s *search) thinkOfRequest(all *vocabulary) {
	if s.request.Client.Scheme != "https" {
		s.add(candidate{Change: Change{Kind: "scheme", Value: "https"}, cost: 1, make: func(r *check.Request, _ *check.Token) {
			r.Client.Scheme, r.HTTP.Scheme = "https", "https"
			for _, name := range []string{":scheme", "x-forwarded-proto"} {
				if _, given := r.HTTP.Headers.Lookup(name); given {
					setHeader(r, name, "https")
				}
			}
		}})
	}
	for _, name := range []string{"origin", "cookie"} {
		if _, given := s.request.HTTP.Headers.Lookup(name); given {
			s.add(candidate{Change: Change{Kind: "header", Name: name}, cost: 1,
				make: func(r *check.Request, _ *check.Token) { setHeader(r, name, "") }})
		}
	}
	headers := all.headers
	if _, given := s.request.HTTP.Headers.Lookup("sec-fetch-site"); given {
		headers = append([]Change{{Name: "sec-fetch-site", Value: "same-origin"}}, headers...)
	}
	for _, h := range headers {
		s.add(candidate{Change: Change{Kind: "header", Name: h.Name, Value: h.Value}, cost: 1,
			make: func(r *check.Request, _ *check.Token) { setHeader(r, h.Name, h.Value) }})
	}
	for _, method := range s.policy.routes.AllowedMethods(s.request.Path) {
		if method != s.request.HTTP.Method && method != "HEAD" {
			// Another method is another operation: a way of last resort.
			s.add(candidate{Change: Change{Kind: "method", Value: method}, cost: 4, make: func(r *check.Request, _ *check.Token) {
				r.HTTP.Method = method
				if _, given := r.HTTP.Headers.Lookup(":method"); given {
					setHeader(r, ":method", method)
				}
			}})
		}
	}
}

// setHeader replaces a header, or takes it away where the value is empty.
func setHeader(r *check.Request, name, value string) {
	r.HTTP.Headers = slices.DeleteFunc(r.HTTP.Headers, func(h check.Header) bool { return h.Name == name })
	if value != "" {
		r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: name, Value: value})
	}
}

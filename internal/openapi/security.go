package openapi

import (
	"maps"
	"slices"
	"strings"
)

// access translates the security requirements: a list of alternatives, each of
// schemes that must all be met. What carries a verified token (a bearer token,
// OAuth 2, OpenID Connect) becomes scopes or just "authenticated"; several in one
// alternative are the same token with all their scopes. An alternative with any
// other scheme is left out, and when none remains the route is closed.
func (t *translation) access(op operation, route *Route) {
	security, name := op.at("security"), op.name()+": "
	if !op.has("security") {
		security, name = place{file: t.root, value: t.root.value}.at("security"), "" // told once, for all that inherit it
	}
	alternatives := security.items()
	if len(alternatives) == 0 {
		route.Public = true
		return
	}
	var left []need
	for _, alternative := range alternatives {
		if len(alternative.object()) == 0 { // the requirement that is always met
			route.Public = true
			return
		}
		if n, ok := t.need(alternative); ok {
			left = append(left, n)
		}
	}
	if len(left) == 0 {
		t.report.lose("closed", Narrower, security, "%sno way in could be carried over: closed to everybody", name)
		return
	}
	chosen := weakest(left)
	for i, n := range left {
		if i != chosen && !left[chosen].within(n) {
			t.report.lose("alternative", Narrower, n.at, "%sa route has one list of scopes: %s alone lets nobody in", name, n)
		}
	}
	route.Scopes, route.Roles = left[chosen].scopes, left[chosen].roles
	route.Authenticated = len(route.Scopes) == 0 && len(route.Roles) == 0
}

// need is what one alternative asks of a token.
type need struct {
	at     place
	scopes []string
	roles  []string
}

func (n need) String() string {
	if len(n.scopes)+len(n.roles) == 0 {
		return "a token"
	}
	return strings.Join(append(slices.Clone(n.scopes), n.roles...), " ")
}

// within says that whoever meets o meets n.
func (n need) within(o need) bool {
	return subset(n.scopes, o.scopes) && subset(n.roles, o.roles)
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

// weakest is the alternative that every other one implies, or else the first.
func weakest(list []need) int {
	for i, n := range list {
		if !slices.ContainsFunc(list, func(o need) bool { return !n.within(o) }) {
			return i
		}
	}
	return 0
}

func (t *translation) need(alternative place) (need, bool) {
	n := need{at: alternative}
	schemes := place{file: t.root, value: t.root.value}.at("components").at("securitySchemes")
	for _, name := range slices.Sorted(maps.Keys(alternative.object())) {
		scheme, err := t.deref(schemes.at(name))
		if err != nil {
			t.report.lose("reference", Narrower, schemes.at(name), "%v", err)
			return need{}, false
		}
		asked := alternative.at(name).texts()
		kind := scheme.at("type").text()
		if kind == "http" {
			kind += " " + strings.ToLower(scheme.at("scheme").text())
		}
		switch {
		case kind == "oauth2", kind == "openIdConnect":
			n.scopes = append(n.scopes, asked...)
		case kind == "http bearer", slices.Contains(t.options.Tokens, name):
			// OpenAPI 3.1: "a list of role names which are required".
			n.roles = append(n.roles, asked...)
		default:
			if kind == "apiKey" {
				kind += " in " + scheme.at("in").text()
			}
			t.report.lose("scheme", Narrower, schemes.at(name), "%s is not a token that the sidecar verifies; alternatives with it are left out", kind)
			return need{}, false
		}
	}
	slices.Sort(n.scopes)
	n.scopes = slices.Compact(n.scopes)
	slices.Sort(n.roles)
	if n.roles = slices.Compact(n.roles); len(n.roles) > 1 {
		t.report.lose("roles", Narrower, alternative, "a route asks for any of its roles, this asks for all of %s", strings.Join(n.roles, ", "))
		return need{}, false
	}
	return n, true
}

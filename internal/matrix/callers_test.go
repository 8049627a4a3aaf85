package matrix

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"authz/internal/check"
)

func TestReadCallers(t *testing.T) {
	got, err := ReadCallers([]byte(`
visitor: {}
bad: {status: expired}
ann: {roles: [clerk], claims: {tenant: 7, address: {country: de}}}
bob: {subject: robert, via: cookie}
eve: {claims: {sub: eve-7}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Caller{
		{Name: "visitor", Status: check.TokenAbsent},
		{Name: "bad", Status: check.TokenExpired, Via: "header"},
		{Name: "ann", Status: check.TokenValid, Via: "header", Issuer: sampleIssuer, Subject: "ann", Roles: []string{"clerk"},
			Claims: map[string]any{"tenant": json.Number("7"), "address": map[string]any{"country": "de"}}},
		{Name: "bob", Status: check.TokenValid, Via: "cookie", Issuer: sampleIssuer, Subject: "robert"},
		{Name: "eve", Status: check.TokenValid, Via: "header", Issuer: sampleIssuer, Subject: "eve-7", Claims: map[string]any{"sub": "eve-7"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	for _, c := range []struct{ claim, want string }{{"sub", "ann"}, {"tenant", "7"}, {"address.country", "de"}, {"address", ""}, {"nothing.at.all", ""}} {
		if got := got[2].claim(c.claim); got != c.want {
			t.Errorf("claim %s: got %q, want %q", c.claim, got, c.want)
		}
	}
	if got := got[0].claim("sub"); got != "" {
		t.Errorf("who has no token has a claim: %q", got)
	}
}

func TestReadCallersRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "not a map of names to callers"},
		{"a list", "[ann]", "not a map of names to callers"},
		{"not YAML", "a: [", "yaml"},
		{"a slip", "ann: {rolls: [clerk]}", `caller "ann" (line 1): line 1: field rolls not found in type a caller, whose fields are status`},
		{"an unknown status", "ann: {status: good}", `status: "good" is not valid, absent`},
		{"roles without a token", "ann: {status: absent, roles: [clerk]}", "whose token is absent has no subject"},
		{"an unknown way", "ann: {subject: ann, via: query}", `via: "query" is not header or cookie`},
		{"a way without a token", "ann: {status: absent, via: cookie}", "there is no token"},
		{"twice", "ann: {}\nbob: {}\n\"ann\": {}", "is there twice"},
	} {
		_, err := ReadCallers([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// What the sidecar would have found out about each caller.
func TestToken(t *testing.T) {
	for _, c := range []struct {
		status check.TokenStatus
		want   check.Token
	}{
		{check.TokenAbsent, check.Token{Status: check.TokenAbsent}},
		{check.TokenInvalid, check.Token{Status: check.TokenInvalid, Error: "signature"}},
		{check.TokenExpired, check.Token{Status: check.TokenExpired, Error: "expired"}},
		{check.TokenUnavailable, check.Token{Status: check.TokenUnavailable, Error: "keys_unavailable"}},
		{"", check.Token{Error: "signature"}},
	} {
		who := Caller{Status: c.status, Subject: "ann", Roles: []string{"clerk"}}
		if got := *who.token(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, want %+v", c.status, got, c.want)
		}
	}
}

// Derived callers own what the routes' owner claims name, each in its type.
func TestDerivedOwners(t *testing.T) {
	api := &API{routes: []route{{Path: "/a/{n:int}"}, {Path: "/b/{s:slug}"}, {Path: "/c/{c}"}}}
	for i, owner := range []struct{ param, claim string }{{"n", "sub"}, {"s", "org.id"}, {"c", "org.id"}} {
		api.routes[i].Owner.Param, api.routes[i].Owner.Claim = owner.param, owner.claim
	}
	got := Callers(api)
	known := Caller{Name: "signed in", Status: check.TokenValid, Via: "header", Issuer: sampleIssuer, Subject: "1001",
		Claims: map[string]any{"org": map[string]any{"id": "mine-1"}}}
	want := []Caller{{Name: "anonymous", Status: check.TokenAbsent}, known, {Name: "invalid token", Status: check.TokenInvalid, Via: "header"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// A role may be called what a derived caller is called.
func TestDerivedNames(t *testing.T) {
	var names []string
	for _, c := range Callers(&API{roles: []string{"anonymous", "clerk", "clerk"}}) {
		names = append(names, c.Name)
	}
	if want := []string{"anonymous", "signed in", "role anonymous", "clerk", "invalid token"}; !reflect.DeepEqual(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

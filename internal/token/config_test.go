package token

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/check"
	"authz/internal/jwks"
)

func TestConfig(t *testing.T) {
	issuer := func(change func(*Issuer)) Config {
		is := Issuer{Name: "a", Issuer: theIssuer, Audiences: []string{theAudience}}
		change(&is)
		return Config{Issuers: []Issuer{is}}
	}
	twice := func(change func(*Issuer)) Config {
		c := issuer(func(*Issuer) {})
		other := c.Issuers[0]
		other.Name = "b"
		change(&other)
		c.Issuers = append(c.Issuers, other)
		return c
	}
	tests := []struct {
		name string
		cfg  Config
		want string // the faults, a line each
	}{
		{"nobody", Config{}, ""},
		{"an issuer", issuer(func(*Issuer) {}), ""},
		{"no iss", issuer(func(is *Issuer) { is.Issuer = "" }), "issuers[0]: issuer: is missing: give the exact iss of its tokens"},
		{"no audience", issuer(func(is *Issuer) { is.Audiences = nil }), "issuers[0]: audiences: is missing: a token made for another service would be valid here"},
		{"any audience", issuer(func(is *Issuer) { is.Audiences, is.AllowAnyAudience = nil, true }), ""},
		{"an empty audience", issuer(func(is *Issuer) { is.Audiences = []string{""} }), "issuers[0]: audiences: one is empty"},
		{"unknown algorithm", issuer(func(is *Issuer) { is.Algorithms = []string{"RS256", "none"} }), `issuers[0]: algorithms: "none" is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA`},
		{"HS256 with public keys", issuer(func(is *Issuer) { is.Algorithms = []string{"HS256"} }), "issuers[0]: algorithms: HS256 needs a secret: with public keys, whoever knows the key could sign"},
		{"secret", issuer(func(is *Issuer) { is.Secret = theSecret }), ""},
		{"short secret", issuer(func(is *Issuer) { is.Secret = theSecret[:31] }), "issuers[0]: secret: has 31 bytes, HS256 needs 32"},
		{"empty secret", issuer(func(is *Issuer) { is.Secret = []byte{} }), "issuers[0]: secret: has 0 bytes, HS256 needs 32"},
		{"secret and keys", issuer(func(is *Issuer) { is.Secret, is.Keys.File = theSecret, "keys" }), "issuers[0]: secret: does not go with public keys: give the issuer one or the other"},
		{"secret for RS256", issuer(func(is *Issuer) { is.Secret, is.Algorithms = theSecret, []string{"RS256"} }), "issuers[0]: algorithms: RS256 does not go with a secret, which serves HS256 only"},
		{"leeway", issuer(func(is *Issuer) { is.Leeway = 5*time.Minute + 1 }), "issuers[0]: leeway: 5m0.000000001s is more than 5m0s"},
		{"max age", issuer(func(is *Issuer) { is.MaxAge = -1 }), "issuers[0]: max_age: must not be negative"},
		{"keys of another issuer", issuer(func(is *Issuer) { is.Keys.Issuer = "https://other.example.com" }), `issuers[0]: issuer: the keys are those of "https://other.example.com"`},
		{"keys over plain http", issuer(func(is *Issuer) { is.Keys.URL = "http://id.example.com" }), "issuers[0]: jwks_url: is plain http: whoever is on the path could replace the keys"},
		{"same iss, other audience", twice(func(is *Issuer) { is.Audiences = []string{"billing"} }), ""},
		{"same iss, same audience", twice(func(is *Issuer) { is.Audiences = []string{"billing", theAudience} }), "issuers[1]: a has the same iss and accepts orders too"},
		{"same iss, any audience", twice(func(is *Issuer) { is.Audiences, is.AllowAnyAudience = nil, true }), "issuers[1]: a has the same iss and accepts any audience too"},
		{"a cookie that can't be", Config{Cookie: "a b"}, `cookie: "a b" can't be a cookie's name`},
		{
			"everything at once",
			Config{Cookie: "a=b", MaxBytes: -1, Issuers: []Issuer{{Leeway: time.Hour}, {Issuer: "x", Secret: []byte("y")}}},
			`max_bytes: must not be negative
cookie: "a=b" can't be a cookie's name
issuers[0]: issuer: is missing: give the exact iss of its tokens
audiences: is missing: a token made for another service would be valid here
leeway: 1h0m0s is more than 5m0s
issuers[1]: audiences: is missing: a token made for another service would be valid here
secret: has 1 bytes, HS256 needs 32`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg, quiet)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("faults:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

func TestAnyAudienceWarns(t *testing.T) {
	var log bytes.Buffer
	is := Issuer{Name: "a", Issuer: theIssuer, AllowAnyAudience: true, Secret: theSecret}
	v, err := New(Config{Issuers: []Issuer{is}}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "tokens made for any audience are accepted") {
		t.Errorf("log: %s", &log)
	}
	for _, aud := range []any{nil, "x", []string{"y"}} {
		text := sign(members{"alg": "HS256"}, claims(members{"aud": aud}), theSecret)
		if got := verdict(t, v, text, theTime); got != "valid" {
			t.Errorf("aud %v: %s", aud, got)
		}
	}
}

// What an issuer's settings make of one and the same kind of token.
func TestIssuerSettings(t *testing.T) {
	base := Issuer{Issuer: theIssuer, Audiences: []string{theAudience}, Secret: theSecret}
	now := theTime.Unix()
	tests := []struct {
		name   string
		change func(*Issuer)
		claims members
		want   string
	}{
		{"default leeway", func(*Issuer) {}, members{"exp": now - 29}, "valid"},
		{"no leeway", func(is *Issuer) { is.Leeway = -1 }, members{"exp": now}, "expired expired"},
		{"no leeway, in time", func(is *Issuer) { is.Leeway = -1 }, members{"exp": now + 1, "nbf": now, "iat": now}, "valid"},
		{"the longest leeway", func(is *Issuer) { is.Leeway = MaxLeeway }, members{"exp": now - 299, "nbf": now + 300}, "valid"},
		{"beyond it", func(is *Issuer) { is.Leeway = MaxLeeway }, members{"exp": now - 300}, "expired expired"},
		{"young enough", func(is *Issuer) { is.MaxAge = time.Hour }, members{"iat": now - 3629}, "valid"},
		{"too old", func(is *Issuer) { is.MaxAge = time.Hour }, members{"iat": now - 3630}, "expired expired"},
		{"of unknown age", func(is *Issuer) { is.MaxAge = time.Hour }, members{"iat": nil}, "invalid issued_at"},
		{"somebody", func(is *Issuer) { is.RequireSubject = true }, nil, "valid"},
		{"nobody", func(is *Issuer) { is.RequireSubject = true }, members{"sub": nil}, "invalid subject"},
		{"an empty name", func(is *Issuer) { is.RequireSubject = true }, members{"sub": ""}, "invalid subject"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			is := base
			tt.change(&is)
			v := start(t, Config{Issuers: []Issuer{is}})
			text := sign(members{"alg": "HS256"}, claims(tt.claims), theSecret)
			for range 2 {
				if got := verdict(t, v, text, theTime); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			}
		})
	}
}

func TestExpires(t *testing.T) {
	is := Issuer{Issuer: theIssuer, Audiences: []string{theAudience}, Secret: theSecret, MaxAge: 10 * time.Minute}
	v := start(t, Config{Issuers: []Issuer{is}})
	text := sign(members{"alg": "HS256"}, claims(nil), theSecret)
	want := theTime.Add(9 * time.Minute) // issued a minute ago, ten allowed
	if got := v.Verify(t.Context(), bearer(text), theTime).Expires; !got.Equal(want) {
		t.Errorf("expires %s, want %s", got, want)
	}
}

func TestRolesAndScopes(t *testing.T) {
	list := func(s ...any) []any { return s }
	tests := []struct {
		name          string
		roles, scopes string // the settings
		claims        members
		want          string // roles, scopes
	}{
		{"none", "", "", nil, "[] []"},
		{"defaults", "", "", members{"roles": list("a", "b"), "scope": "r w"}, "[a b] [r w]"},
		{"as lists", "roles", "scope", members{"scope": list("r w", "x")}, "[] [r w x]"},
		{"scp as text", "", "", members{"scp": "r w"}, "[] [r w]"},
		{"scp as a list", "", "scope", members{"scp": list("r", "w")}, "[] [r w]"},
		{"scope before scp", "", "", members{"scope": "", "scp": "w"}, "[] []"},
		{"configured scp", "", "scp", members{"scope": "r", "scp": "w"}, "[] [w]"},
		{"one role, with a space", "", "", members{"roles": "Global Admin"}, "[Global Admin] []"},
		{"an empty role", "", "", members{"roles": ""}, "[] []"},
		{"what is no role", "", "", members{"roles": list(1, true, nil, "", list("x"), members{"a": 1}, "ok")}, "[ok] []"},
		{"an object of roles", "", "", members{"roles": members{"admin": true}}, "[] []"},
		{"nested", "realm_access.roles", "", members{"realm_access": members{"roles": list("a")}}, "[a] []"},
		{"nested, missing", "realm_access.roles", "", members{"realm_access": list("a")}, "[] []"},
		{"a URL", "https://example.com/roles", "", members{"https://example.com/roles": list("a")}, "[a] []"},
		{"the whole name first", "a.b", "", members{"a.b": list("x"), "a": members{"b": list("y")}}, "[x] []"},
		{"a pointer", "/resource_access/my.app/roles", "", members{"resource_access": members{"my.app": members{"roles": list("a")}}}, "[a] []"},
		{"a pointer with escapes", "/x~1y/m~0n", "", members{"x/y": members{"m~n": list("a")}}, "[a] []"},
		{"nested scopes", "", "perms.api", members{"perms": members{"api": "r w"}}, "[] [r w]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := start(t, Config{Issuers: []Issuer{{
				Issuer: theIssuer, Audiences: []string{theAudience}, Secret: theSecret, RolesClaim: tt.roles, ScopesClaim: tt.scopes,
			}}})
			k := v.Verify(t.Context(), bearer(sign(members{"alg": "HS256"}, claims(tt.claims), theSecret)), theTime)
			if got := fmt.Sprint(k.Roles, " ", k.Scopes); k.Status != check.TokenValid || got != tt.want || k.Roles == nil || k.Scopes == nil {
				t.Errorf("%s %s, want %s", k.Status, got, tt.want)
			}
		})
	}
}

func TestIssuers(t *testing.T) {
	keys := startKeys(t, "r1", "p256")
	withSecret := Issuer{Issuer: "internal", Audiences: []string{theAudience}, Secret: theSecret}
	v := start(t, Config{Issuers: []Issuer{withSecret, issuerAt(keys)}})
	if got := verdict(t, v, good(), theTime); got != "valid" {
		t.Fatal(got)
	}
	got := v.Issuers()
	if len(got) != 1 {
		t.Fatalf("issuers = %+v", got)
	}
	st := got[0]
	st.Age, st.LastSuccess, st.Generation = 0, time.Time{}, 0
	if want := (jwks.Status{Name: "test", Keys: 2, Fetches: 1, Ready: true}); !reflect.DeepEqual(st, want) {
		t.Errorf("issuers = %+v, want %+v", st, want)
	}
}

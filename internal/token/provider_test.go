package token

import (
	"reflect"
	"testing"
)

func TestProvider(t *testing.T) {
	const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
	rs := []string{"RS256"}
	tests := []struct {
		name     string
		provider string
		params   map[string]string
		want     Issuer
		fault    string
	}{
		{"google", "google", nil, Issuer{Name: "google", Issuer: "https://accounts.google.com", Algorithms: rs}, ""},
		{"github-actions", "github-actions", nil, Issuer{Name: "github-actions", Issuer: "https://token.actions.githubusercontent.com", Algorithms: rs}, ""},
		{"auth0", "auth0", map[string]string{"domain": "a.eu.auth0.com"}, Issuer{Name: "auth0", Issuer: "https://a.eu.auth0.com/", Algorithms: rs, RolesClaim: "permissions"}, ""},
		{
			"keycloak", "keycloak",
			map[string]string{"url": "https://sso.example.com/auth/", "realm": "shop"},
			Issuer{Name: "keycloak", Issuer: "https://sso.example.com/auth/realms/shop", RolesClaim: "realm_access.roles", Algorithms: []string{"RS256", "ES256", "PS256", "EdDSA"}}, "",
		},
		{
			"entra", "entra",
			map[string]string{"tenant": tenant},
			Issuer{Name: "entra", Issuer: "https://login.microsoftonline.com/" + tenant + "/v2.0", Algorithms: rs, RolesClaim: "roles", ScopesClaim: "scp"}, "",
		},
		{
			"okta", "okta",
			map[string]string{"domain": "a.okta.com"},
			Issuer{Name: "okta", Issuer: "https://a.okta.com/oauth2/default", Algorithms: rs, RolesClaim: "groups", ScopesClaim: "scp"}, "",
		},
		{
			"okta with a server", "okta",
			map[string]string{"domain": "a.okta.com", "server": "aus1"},
			Issuer{Name: "okta", Issuer: "https://a.okta.com/oauth2/aus1", Algorithms: rs, RolesClaim: "groups", ScopesClaim: "scp"}, "",
		},
		{"unknown", "gitlab", nil, Issuer{}, `provider: "gitlab" is not one of auth0, entra, github-actions, google, keycloak, okta`},
		{"auth0 without domain", "auth0", nil, Issuer{}, "domain: provider auth0 needs it"},
		{"keycloak without anything", "keycloak", nil, Issuer{}, "url: provider keycloak needs it\nrealm: provider keycloak needs it"},
		{"entra without tenant", "entra", map[string]string{"domain": "x"}, Issuer{}, "tenant: provider entra needs it\ndomain: provider entra has no use for it"},
		{"okta without domain", "okta", map[string]string{"server": "x"}, Issuer{}, "domain: provider okta needs it"},
		{"google with a tenant", "google", map[string]string{"tenant": "x"}, Issuer{}, "tenant: provider google has no use for it"},
		{"a URL as domain", "auth0", map[string]string{"domain": "https://a.eu.auth0.com"}, Issuer{}, `domain: "https://a.eu.auth0.com" is not a bare host name`},
		{"a path in the domain", "okta", map[string]string{"domain": "a.okta.com/evil"}, Issuer{}, `domain: "a.okta.com/evil" is not a bare host name`},
		{"the tenant of everybody", "entra", map[string]string{"tenant": "common"}, Issuer{}, `tenant: "common" is not a tenant's id, such as ` + tenant},
		{"the tenant of everybody at work", "entra", map[string]string{"tenant": "organizations"}, Issuer{}, `tenant: "organizations" is not a tenant's id, such as ` + tenant},
		{"the tenant by its domain", "entra", map[string]string{"tenant": "example.onmicrosoft.com"}, Issuer{}, `tenant: "example.onmicrosoft.com" is not a tenant's id, such as ` + tenant},
		{"a realm that leaves the realms", "keycloak", map[string]string{"url": "https://sso.example.com", "realm": "../x"}, Issuer{}, `realm: "../x" is not a realm's name`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Provider(tt.provider, tt.params)
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if fault != tt.fault || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, fault %q\nwant %+v, fault %q", got, fault, tt.want, tt.fault)
			}
			if err != nil {
				return
			}
			// With an audience it is a whole configuration.
			got.Audiences = []string{theAudience}
			if _, err := New(Config{Issuers: []Issuer{got}}, quiet); err != nil {
				t.Errorf("the issuer is not complete: %v", err)
			}
		})
	}
}

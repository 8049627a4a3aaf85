package token

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// provider is a ready-made issuer: what it needs, and what follows from that.
type provider struct {
	needs, may []string
	issuer     func(p map[string]string) string
	algorithms []string
	roles      string
	scopes     string
}

// providers are issuers that many teams use. Their documents:
//
//	google          https://developers.google.com/identity/openid-connect/openid-connect (ID tokens; access tokens are opaque)
//	github-actions  https://docs.github.com/actions/reference/openid-connect-reference (tokens of workflows; users' tokens are opaque)
//	auth0           https://auth0.com/docs/secure/tokens/access-tokens/validate-access-tokens
//	keycloak        https://www.keycloak.org/securing-apps/oidc-layers
//	entra           https://learn.microsoft.com/entra/identity-platform/access-tokens (v2.0 tokens)
//	okta            https://developer.okta.com/docs/guides/validate-access-tokens
var providers = map[string]provider{
	"google": {
		issuer:     func(map[string]string) string { return "https://accounts.google.com" },
		algorithms: []string{"RS256"},
	},
	"github-actions": {
		issuer:     func(map[string]string) string { return "https://token.actions.githubusercontent.com" },
		algorithms: []string{"RS256"},
	},
	"auth0": {
		needs:      []string{"domain"},
		issuer:     func(p map[string]string) string { return "https://" + p["domain"] + "/" },
		algorithms: []string{"RS256"},
		roles:      "permissions",
	},
	"keycloak": {
		needs: []string{"url", "realm"},
		issuer: func(p map[string]string) string {
			return strings.TrimSuffix(p["url"], "/") + "/realms/" + url.PathEscape(p["realm"])
		},
		algorithms: []string{"RS256", "ES256", "PS256", "EdDSA"},
		roles:      "realm_access.roles",
	},
	"entra": {
		needs:      []string{"tenant"},
		issuer:     func(p map[string]string) string { return "https://login.microsoftonline.com/" + p["tenant"] + "/v2.0" },
		algorithms: []string{"RS256"},
		roles:      "roles",
		scopes:     "scp",
	},
	"okta": {
		needs: []string{"domain"}, may: []string{"server"},
		issuer: func(p map[string]string) string {
			server := p["server"]
			if server == "" {
				server = "default"
			}
			return "https://" + p["domain"] + "/oauth2/" + url.PathEscape(server)
		},
		algorithms: []string{"RS256"},
		roles:      "groups",
		scopes:     "scp",
	},
}

var tenantID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Provider is a ready-made issuer by name. Its keys are found by discovery; who the
// tokens must be made for (Audiences) is left to the caller. The error names every
// parameter that is missing or does not belong.
func Provider(name string, params map[string]string) (Issuer, error) {
	p, known := providers[name]
	if !known {
		return Issuer{}, fmt.Errorf("provider: %q is not one of %s", name, strings.Join(slices.Sorted(maps.Keys(providers)), ", "))
	}
	var faults []error
	for _, need := range p.needs {
		if params[need] == "" {
			faults = append(faults, fmt.Errorf("%s: provider %s needs it", need, name))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains(p.needs, key) && !slices.Contains(p.may, key) {
			faults = append(faults, fmt.Errorf("%s: provider %s has no use for it", key, name))
		}
	}
	if domain := params["domain"]; strings.ContainsAny(domain, "/:@?# ") {
		faults = append(faults, fmt.Errorf("domain: %q is not a bare host name", domain))
	}
	// By a tenant's domain, or for all tenants at once (common, organizations), the
	// tokens still name the id in iss, and iss is compared exactly.
	if tenant := params["tenant"]; tenant != "" && slices.Contains(p.needs, "tenant") && !tenantID.MatchString(tenant) {
		faults = append(faults, fmt.Errorf("tenant: %q is not a tenant's id, such as 9188040d-6c67-4c5b-b112-36a304b66dad", tenant))
	}
	if realm := params["realm"]; strings.ContainsAny(realm, "/?#") {
		faults = append(faults, fmt.Errorf("realm: %q is not a realm's name", realm))
	}
	if len(faults) > 0 {
		return Issuer{}, errors.Join(faults...)
	}
	return Issuer{Name: name, Issuer: p.issuer(params), Algorithms: p.algorithms, RolesClaim: p.roles, ScopesClaim: p.scopes}, nil
}

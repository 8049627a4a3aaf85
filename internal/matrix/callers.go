package matrix

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"authz/internal/check"

	"go.yaml.in/yaml/v3"
)

// Caller is one column: who asks, as the sidecar would have established it.
type Caller struct {
	Name    string            `yaml:"-" json:"name"`
	Status  check.TokenStatus `yaml:"status" json:"status"`
	Via     string            `yaml:"via" json:"via,omitempty"`
	Issuer  string            `yaml:"issuer" json:"issuer,omitempty"`
	Subject string            `yaml:"subject" json:"subject,omitempty"`
	Roles   []string          `yaml:"roles" json:"roles,omitempty"`
	Scopes  []string          `yaml:"scopes" json:"scopes,omitempty"`
	// Claims are the token's payload beside iss and sub.
	Claims map[string]any `yaml:"claims" json:"claims,omitempty"`
}

const sampleIssuer = "https://id.example"

// token is what the sidecar would have made of the caller's credential.
func (c *Caller) token() *check.Token {
	t := &check.Token{Status: c.Status, Via: c.Via}
	switch c.Status {
	case check.TokenAbsent:
		return t
	case check.TokenValid:
	case check.TokenExpired:
		t.Error = "expired"
		return t
	case check.TokenUnavailable:
		t.Error = "keys_unavailable"
		return t
	default:
		t.Error = "signature"
		return t
	}
	t.Issuer, t.Subject, t.Roles, t.Scopes = c.Issuer, c.Subject, c.Roles, c.Scopes
	t.Claims = map[string]any{"iss": c.Issuer, "sub": c.Subject}
	maps.Copy(t.Claims, c.Claims)
	t.Header = map[string]any{"alg": "ES256", "typ": "JWT"}
	t.Expires = sampleTime.Add(time.Hour)
	return t
}

// claim is a value of the payload as a path parameter would write it; "" where
// there is none. Of a list it is the first.
func (c *Caller) claim(path string) string {
	if c.Status != check.TokenValid {
		return ""
	}
	var at any = c.token().Claims
	for name := range strings.SplitSeq(path, ".") {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	if list, ok := at.([]any); ok && len(list) > 0 {
		at = list[0]
	}
	switch v := at.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// ReadCallers reads a YAML file of callers, name to what is known of them, in the
// order of the file. A caller of whom nothing is said is anonymous; who has
// anything but a status has a valid token.
func ReadCallers(text []byte) ([]Caller, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode || len(doc.Content[0].Content) == 0 {
		return nil, errors.New("not a map of names to callers: write `clerk: {subject: ann, roles: [clerk]}`, a line each")
	}
	var callers []Caller
	var faults []error
	for pairs := doc.Content[0].Content; len(pairs) > 0; pairs = pairs[2:] {
		c, err := readCaller(pairs[0].Value, pairs[1])
		if err == nil && slices.ContainsFunc(callers, func(other Caller) bool { return other.Name == c.Name }) {
			err = errors.New("is there twice")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("caller %q (line %d): %w", pairs[0].Value, pairs[0].Line, err))
			continue
		}
		callers = append(callers, c)
	}
	return callers, errors.Join(faults...)
}

func readCaller(name string, n *yaml.Node) (Caller, error) {
	c := Caller{}
	text, err := yaml.Marshal(n) // a node by itself can't be decoded strictly
	if err != nil {
		return c, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		return c, errors.New(strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  "), "matrix.Caller", "a caller, whose fields are status, via, issuer, subject, roles, scopes and claims"))
	}
	c.Name = name
	if c.Claims, err = plain(c.Claims); err != nil {
		return c, fmt.Errorf("claims: %w", err)
	}
	says := c.Subject != "" || c.Issuer != "" || c.Roles != nil || c.Scopes != nil || c.Claims != nil
	switch {
	case c.Status == "" && (says || c.Via != ""):
		c.Status = check.TokenValid
	case c.Status == "":
		c.Status = check.TokenAbsent
	case !slices.Contains(statuses, c.Status):
		return c, fmt.Errorf("status: %q is not valid, absent, invalid, expired or unavailable", c.Status)
	case c.Status != check.TokenValid && says:
		return c, fmt.Errorf("status: a caller whose token is %s has no subject, roles, scopes or claims", c.Status)
	}
	if c.Via != "" && (c.Via != "header" && c.Via != "cookie" || c.Status == check.TokenAbsent) {
		return c, fmt.Errorf("via: %q is not header or cookie, or there is no token", c.Via)
	}
	if c.Status != check.TokenAbsent {
		c.Via = cmp.Or(c.Via, "header")
	}
	if c.Status == check.TokenValid {
		sub, _ := c.Claims["sub"].(string)
		iss, _ := c.Claims["iss"].(string)
		c.Subject, c.Issuer = cmp.Or(c.Subject, sub, name), cmp.Or(c.Issuer, iss, sampleIssuer)
	}
	return c, nil
}

var statuses = []check.TokenStatus{check.TokenValid, check.TokenAbsent, check.TokenInvalid, check.TokenExpired, check.TokenUnavailable}

// plain makes of YAML values what a decoded token holds.
func plain(claims map[string]any) (map[string]any, error) {
	if claims == nil {
		return nil, nil
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out map[string]any
	return out, decoder.Decode(&out)
}

// Callers derives one caller from each thing the APIs tell apart: nobody, anybody
// with a valid token, each role, each scope, and a token that is bad. Who has a
// role has every scope too, so that the column says what the role is worth.
func Callers(apis ...*API) []Caller {
	var roles, scopes []string
	claims := map[string]any{}
	for _, api := range apis {
		roles = append(roles, api.roles...)
		for i := range api.routes {
			r := &api.routes[i]
			roles = slices.Concat(roles, r.Roles, r.Owner.Bypass)
			scopes = append(scopes, r.Scopes...)
			if r.Owner.Claim != "" {
				own(claims, strings.Split(r.Owner.Claim, "."), sample(r.kinds()[r.Owner.Param], 1, true))
			}
		}
	}
	roles, scopes = distinct(roles), distinct(scopes)
	known := Caller{Status: check.TokenValid, Via: "header", Issuer: sampleIssuer, Subject: sample("uuid", 1, true)}
	if sub, ok := claims["sub"].(string); ok {
		known.Subject = sub
		delete(claims, "sub")
	}
	if len(claims) > 0 {
		known.Claims = claims
	}
	callers := []Caller{{Name: "anonymous", Status: check.TokenAbsent}}
	add := func(name string, roles, scopes []string) {
		c := known
		c.Name, c.Roles, c.Scopes = name, roles, scopes
		if slices.ContainsFunc(callers, func(other Caller) bool { return other.Name == name }) {
			c.Name = "role " + name // a role called anonymous, say
		}
		callers = append(callers, c)
	}
	add("signed in", nil, nil)
	for _, scope := range scopes {
		add("scope "+scope, nil, []string{scope})
	}
	for _, role := range roles {
		add(role, []string{role}, scopes)
	}
	return append(callers, Caller{Name: "invalid token", Status: check.TokenInvalid, Via: "header"})
}

// own sets a claim unless another one is in its place already.
func own(claims map[string]any, path []string, value string) {
	for ; len(path) > 1; path = path[1:] {
		if _, taken := claims[path[0]]; !taken {
			claims[path[0]] = map[string]any{}
		}
		inner, ok := claims[path[0]].(map[string]any)
		if !ok {
			return
		}
		claims = inner
	}
	if _, taken := claims[path[0]]; !taken {
		claims[path[0]] = value
	}
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

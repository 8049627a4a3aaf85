package extauthz

import (
	"net/url"
	"slices"
	"strings"

	"authz/internal/authz"
	"authz/internal/check"
)

// query is what becomes of the query string. Envoy pastes names and values into it
// as they are and compares names as they are spelled; so values are encoded here
// ("x&admin=1" would be two parameters), a list is one value with the following
// pairs inside it (of several entries Envoy keeps the last), and every spelling that
// the client used for a name ("%61dmin") is removed beside the plain one. Whatever
// the decision says, what is made of it can be written into a URL.
func query(d *authz.Decision, r *check.Request) (set []check.Header, removed []string) {
	if len(d.SetQuery) == 0 && len(d.RemoveQuery) == 0 {
		return nil, nil
	}
	var spelled, meant []string
	for i, p := range d.SetQuery {
		if slices.ContainsFunc(d.SetQuery[:i], func(q check.Header) bool { return q.Name == p.Name }) {
			continue
		}
		name := escaped(p.Name)
		var value strings.Builder
		value.WriteString(escaped(p.Value))
		for _, q := range d.SetQuery[i+1:] {
			if q.Name == p.Name {
				value.WriteString("&" + name + "=" + escaped(q.Value))
			}
		}
		set = append(set, check.Header{Name: name, Value: value.String()})
		spelled, meant = append(spelled, name), append(meant, p.Name)
	}
	remove := func(name string) {
		// Envoy removes after it has set.
		if !slices.Contains(spelled, name) && !slices.Contains(removed, name) {
			removed = append(removed, name)
		}
	}
	for _, name := range d.RemoveQuery {
		if !slices.Contains(meant, name) {
			remove(escaped(name))
			meant = append(meant, name)
		}
	}
	if r != nil {
		eachSpelling(r.HTTP.Path, func(raw, name string) {
			if slices.Contains(meant, name) {
				remove(raw)
			}
		})
	}
	return set, removed
}

// eachSpelling calls f with each parameter's name in a request target, as it is
// spelled and as it reads.
func eachSpelling(target string, f func(raw, name string)) {
	_, rest, _ := strings.Cut(target, "?")
	rest, _, _ = strings.Cut(rest, "#")
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		raw, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(raw); err == nil {
			f(raw, name)
		}
	}
}

// escaped is percent-encoding with %20 for a space, which every reader of query
// strings decodes alike.
func escaped(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"authz/internal/check"
)

// What every sample request has in common. The time is a Monday's noon.
const (
	sampleHost    = "api.example"
	sampleAddress = "192.0.2.1" // RFC 5737: documentation
)

var sampleTime = time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC)

// request is the operation as the caller would send it through the edge, with
// the least query, headers and body that the route's schemas ask for.
func (o *Operation) request(c *Caller) *check.Request {
	target := o.path(c)
	query, _ := example(o.route.query).(map[string]any)
	if text := encode(query); text != "" {
		target += "?" + text
	}
	r := &check.Request{
		ID:   "matrix",
		Time: sampleTime,
		HTTP: check.HTTP{
			Method: o.Method, Path: target, Host: sampleHost, Scheme: "https", Protocol: "HTTP/2", Size: -1,
			Headers: check.Headers{
				{Name: ":authority", Value: sampleHost}, {Name: ":method", Value: o.Method}, {Name: ":path", Value: target},
				{Name: ":scheme", Value: "https"}, {Name: "accept", Value: "application/json"}, {Name: "x-request-id", Value: "matrix"},
			},
		},
	}
	r.Source.Address = sampleAddress
	r.Client, _ = check.ParseClient(sampleAddress, "https")
	headers, _ := example(o.route.headers).(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		o.header(r, strings.ToLower(name), fmt.Sprint(headers[name]))
	}
	if o.route.body != nil && slices.Contains([]string{"POST", "PUT", "PATCH"}, o.Method) {
		body, err := json.Marshal(example(o.route.body))
		if err != nil { // nothing but JSON comes from a schema
			r.Fault = &check.Fault{Code: "sample", Detail: err.Error()}
			return r
		}
		r.HTTP.Body, r.HTTP.Size = string(body), int64(len(body))
		o.header(r, "content-type", "application/json")
		o.header(r, "content-length", strconv.Itoa(len(body)))
	}
	r.Fault = read(r, target)
	return r
}

// header adds a header that the request has not yet.
func (o *Operation) header(r *check.Request, name, value string) {
	if _, there := r.HTTP.Headers.Lookup(name); !there {
		r.HTTP.Headers = append(r.HTTP.Headers, check.Header{Name: name, Value: value})
	}
}

// read is how the front door reads a request.
func read(r *check.Request, target string) (fault *check.Fault) {
	if r.Path, fault = check.ParsePath(target); fault != nil {
		return fault
	}
	_, query, _ := strings.Cut(target, "?")
	if r.Query, fault = check.ParseQuery(query); fault != nil {
		return fault
	}
	if fault = check.Strict(r); fault != nil {
		return fault
	}
	r.Body, fault = check.ParseBody(check.BodyInput{Headers: r.HTTP.Headers, Path: target, Body: r.HTTP.Body, Strict: true})
	return fault
}

// encode writes query parameters; a list is a repeated name.
func encode(query map[string]any) string {
	values := url.Values{}
	for name, value := range query {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, one := range list {
			values.Add(name, fmt.Sprint(one))
		}
	}
	return values.Encode()
}

// path is the path that a caller asks for. Who has no claim of the parameter's type
// owns nothing that could be asked for, and asks for what another one would own.
func (o *Operation) path(c *Caller) string {
	kinds := o.route.kinds()
	return parameter.ReplaceAllStringFunc(o.Path, func(text string) string {
		name := parameter.FindStringSubmatch(text)[1]
		if o.Whose == "own" && name == o.route.Owner.Param {
			if value := c.claim(o.route.Owner.Claim); fits(kinds[name], value) {
				return escape(value)
			}
			return sample(kinds[name], o.seed, true)
		}
		if o.seed == 1 {
			if value := o.route.param(name); fits(kinds[name], value) {
				return escape(value)
			}
		}
		return sample(kinds[name], o.seed, false)
	})
}

// param is the least value that the route's schema asks of a path parameter.
func (r *route) param(name string) string {
	properties, _ := r.params["properties"].(map[string]any)
	property, _ := properties[name].(map[string]any)
	if property == nil {
		return ""
	}
	return fmt.Sprint(example(property))
}

// types are the route table's typed parameters.
var types = map[string]*regexp.Regexp{
	"uuid":   regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`),
	"int":    regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`),
	"slug":   regexp.MustCompile(`^[a-z0-9-]+$`),
	"string": regexp.MustCompile(`^[^/]+$`),
	"rest":   regexp.MustCompile(`^[^/]+$`),
}

func fits(kind, value string) bool {
	pattern, ok := types[kind]
	return ok && pattern.MatchString(value)
}

// escape writes a segment so that it reads as itself, and no other way.
func escape(segment string) string {
	var b strings.Builder
	for i := range len(segment) {
		c := segment[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(strconv.FormatInt(0x100|int64(c), 16)[1:]))
	}
	return b.String()
}

// sample is a value of a parameter's type and of no more specific one. Own values
// are what derived callers have in their claims.
func sample(kind string, seed int, own bool) string {
	n := strconv.Itoa(seed)
	word := map[bool]string{true: "mine", false: "sample"}[own]
	switch kind {
	case "uuid":
		first := map[bool]string{true: "0", false: "f"}[own]
		return strings.Repeat(first, 8) + "-0000-4000-8000-00000000000" + n
	case "int":
		return map[bool]string{true: "100", false: "900"}[own] + n
	case "slug":
		return word + "-" + n
	case "rest":
		return word + "_" + n + "/a/b/c/d"
	}
	return word + "_" + n // '_' is in no slug
}

// Package curl answers one question: which request would this curl command line
// send? It runs no curl, opens no connection and reads only the files that the
// command line names, through the function it is given.
//
// It knows the options that shape a request and skips those that do not (-s, -k,
// -o FILE). What it does not know, and what would make several requests of one
// line, is an error that says what to write instead: a request that was guessed is
// worse than none. Where curl's versions differ it follows curl 8.
package curl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Request is what would go over the wire.
type Request struct {
	Method string
	Scheme string // "http" or "https"
	Host   string // as in the Host header, with a port that is not the scheme's own
	Target string // path and query, as sent
	// Headers are in order, names in lower case, without host. A name given twice is
	// there twice, as curl sends it.
	Headers []Header
	Body    []byte
}

// Header is one field line.
type Header struct{ Name, Value string }

// userAgent stands for whichever curl will be used.
const userAgent = "curl/8"

// ReadFile reads a file that the command line names; "-" is standard input.
type ReadFile func(name string) ([]byte, error)

// Parse reads a command line's words. The first may be curl itself. The error, if
// any, is for a person.
func Parse(words []string, read ReadFile) (*Request, error) {
	if len(words) > 0 && (words[0] == "curl" || strings.HasSuffix(words[0], "/curl")) {
		words = words[1:]
	}
	l := &line{read: read}
	if err := l.words(words); err != nil {
		return nil, err
	}
	return l.request()
}

// line is what the words come to, before defaults.
type line struct {
	read ReadFile

	urls      []string
	method    string
	headers   []Header // Value is what follows the colon
	removed   map[string]bool
	cookies   []string
	user      *string
	bearer    *string
	agent     *string
	referer   string
	encodings bool

	data    []byte
	hasData bool
	json    bool
	form    []part
	get     bool
	head    bool
	globOff bool
	asIs    bool
}

func (l *line) request() (*Request, error) {
	switch {
	case len(l.urls) == 0:
		return nil, errors.New("curl: no URL; write it whole, such as https://api.example.com/orders")
	case len(l.urls) > 1:
		return nil, fmt.Errorf("curl: %d URLs (%s); one request at a time", len(l.urls), strings.Join(l.urls, ", "))
	case l.hasData && len(l.form) > 0:
		return nil, errors.New("curl: -d and -F together; a request has one body")
	case l.head && !l.get && (l.hasData || len(l.form) > 0):
		return nil, errors.New("curl: -I and a body together; write -X to name the method")
	}
	r := &Request{}
	credentials, err := r.target(l)
	if err != nil {
		return nil, err
	}
	if l.get && l.hasData {
		separator := "?"
		if strings.Contains(r.Target, "?") {
			separator = "&"
		}
		r.Target += separator + string(l.data)
		l.data, l.hasData = nil, false
	}
	r.Method = l.verb()
	contentType := r.body(l)
	l.assemble(r, contentType, credentials)
	return r, nil
}

// verb is -X, or what the other options imply.
func (l *line) verb() string {
	switch {
	case l.method != "":
		return l.method
	case l.head:
		return "HEAD"
	case l.get:
		return "GET"
	case l.hasData || len(l.form) > 0:
		return "POST"
	}
	return "GET"
}

// body sets the body and returns its content type.
func (r *Request) body(l *line) string {
	switch {
	case len(l.form) > 0:
		body, contentType := multipart(l.form)
		r.Body = body
		return contentType
	case l.json && l.hasData:
		r.Body = l.data
		return "application/json"
	case l.hasData:
		r.Body = l.data
		return "application/x-www-form-urlencoded"
	}
	return ""
}

// assemble puts curl's own headers before those of -H; -H replaces or removes them.
func (l *line) assemble(r *Request, contentType string, credentials *string) {
	given := map[string]bool{}
	for _, h := range l.headers {
		given[h.Name] = true
		if h.Name == "host" {
			r.Host = h.Value
		}
	}
	own := func(name, value string) {
		if !given[name] && !l.removed[name] {
			r.Headers = append(r.Headers, Header{name, value})
		}
	}
	switch {
	case l.bearer != nil:
		own("authorization", "Bearer "+*l.bearer)
	case credentials != nil:
		own("authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(*credentials)))
	}
	agent := userAgent
	if l.agent != nil {
		agent = *l.agent
	}
	if agent != "" {
		own("user-agent", agent)
	}
	if l.json {
		own("accept", "application/json")
	} else {
		own("accept", "*/*")
	}
	if l.encodings {
		own("accept-encoding", "deflate, gzip, br, zstd")
	}
	if l.referer != "" {
		own("referer", l.referer)
	}
	if len(l.cookies) > 0 {
		own("cookie", strings.Join(l.cookies, ";"))
	}
	if contentType != "" {
		own("content-length", fmt.Sprint(len(r.Body)))
		own("content-type", contentType)
	}
	for _, h := range l.headers {
		if h.Name != "host" {
			r.Headers = append(r.Headers, h)
		}
	}
}

// target reads the URL. Credentials are those of -u, or else the URL's own.
func (r *Request) target(l *line) (credentials *string, err error) {
	raw := l.urls[0]
	if !l.globOff && strings.ContainsAny(withoutHost(raw), "{}[]") {
		return nil, fmt.Errorf("curl: %s: curl makes several requests of {…} and […]; add -g to send them as they are", raw)
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found {
		scheme, rest = "http", raw // curl's guess
	}
	r.Scheme = strings.ToLower(scheme)
	if r.Scheme != "http" && r.Scheme != "https" {
		return nil, fmt.Errorf("curl: %s: only http and https are judged here", raw)
	}
	rest, _, _ = strings.Cut(rest, "#")
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		at = len(rest)
	}
	authority, target := rest[:at], rest[at:]
	credentials = l.user
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if credentials == nil {
			text, err := url.PathUnescape(authority[:i])
			if err != nil {
				return nil, fmt.Errorf("curl: %s: the user name has a bad escape", raw)
			}
			credentials = &text
		}
		authority = authority[i+1:]
	}
	if port := map[string]string{"http": ":80", "https": ":443"}[r.Scheme]; strings.HasSuffix(authority, port) {
		authority = strings.TrimSuffix(authority, port)
	}
	if authority == "" || authority[0] == ':' || strings.ContainsAny(rest, " \t\r\n\x00") {
		return nil, fmt.Errorf("curl: %q is not a URL; write it whole, such as https://api.example.com/orders", raw)
	}
	r.Host = authority
	path, query, hasQuery := strings.Cut(target, "?")
	if path == "" {
		path = "/"
	}
	if !l.asIs {
		path = withoutDots(path)
	}
	r.Target = path
	if hasQuery {
		r.Target += "?" + query
	}
	return credentials, nil
}

// withoutHost leaves out an IPv6 address, whose brackets are no pattern.
func withoutHost(raw string) string {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		rest = raw
	}
	if i := strings.IndexByte(rest, '['); i == 0 || i > 0 && rest[i-1] == '@' {
		if end := strings.IndexByte(rest, ']'); end > i {
			return rest[:i] + rest[end+1:]
		}
	}
	return rest
}

// withoutDots removes dot segments, as curl does before it sends (RFC 3986, 5.2.4).
func withoutDots(path string) string {
	segments := strings.Split(path[1:], "/")
	out := make([]string, 0, len(segments))
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

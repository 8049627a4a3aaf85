package curl

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// option is what one of curl's options does here. With skip it does not change the
// request; with instead it is refused, and this is what to write.
type option struct {
	takes   bool // a value
	skip    bool
	instead string
	set     func(l *line, value string) error
}

// long maps the names that curl writes with two dashes.
var long = map[string]option{
	"url":     {takes: true, set: func(l *line, v string) error { l.urls = append(l.urls, v); return nil }},
	"request": {takes: true, set: func(l *line, v string) error { l.method = v; return nil }},
	"header":  {takes: true, set: (*line).header},

	"data":           {takes: true, set: func(l *line, v string) error { return l.addData(v, true, stripLines) }},
	"data-ascii":     {takes: true, set: func(l *line, v string) error { return l.addData(v, true, stripLines) }},
	"data-raw":       {takes: true, set: func(l *line, v string) error { return l.addData(v, false, nil) }},
	"data-binary":    {takes: true, set: func(l *line, v string) error { return l.addData(v, true, nil) }},
	"data-urlencode": {takes: true, set: (*line).urlencode},
	"json":           {takes: true, set: (*line).addJSON},
	"form":           {takes: true, set: func(l *line, v string) error { return l.addPart(v, true) }},
	"form-string":    {takes: true, set: func(l *line, v string) error { return l.addPart(v, false) }},

	"cookie":        {takes: true, set: (*line).cookie},
	"user":          {takes: true, set: (*line).credentials},
	"oauth2-bearer": {takes: true, set: func(l *line, v string) error { l.bearer = &v; return nil }},
	"user-agent":    {takes: true, set: func(l *line, v string) error { l.agent = &v; return nil }},
	"referer":       {takes: true, set: func(l *line, v string) error { l.referer = strings.TrimSuffix(v, ";auto"); return nil }},
	"compressed":    {set: func(l *line, _ string) error { l.encodings = true; return nil }},

	"get":        {set: func(l *line, _ string) error { l.get = true; return nil }},
	"head":       {set: func(l *line, _ string) error { l.head = true; return nil }},
	"globoff":    {set: func(l *line, _ string) error { l.globOff = true; return nil }},
	"path-as-is": {set: func(l *line, _ string) error { l.asIs = true; return nil }},

	"next":        {instead: "ask about one request at a time"},
	"config":      {takes: true, instead: "write its options on the command line"},
	"upload-file": {takes: true, instead: "write -X PUT --data-binary @FILE"},
	"digest":      {instead: "a challenge needs a second request; judge the one that carries the answer, with -H"},
	"negotiate":   {instead: "judge the request that carries the answer, with -H"},
	"ntlm":        {instead: "judge the request that carries the answer, with -H"},
	"variable":    {takes: true, instead: "write the values themselves"},
	"range":       {takes: true, instead: "write -H 'Range: bytes=…'"},
	"continue-at": {takes: true, instead: "write -H 'Range: bytes=…'"},
	"time-cond":   {takes: true, instead: "write -H 'If-Modified-Since: …'"},
}

// short maps the names of one letter.
var short = map[byte]string{
	'X': "request", 'H': "header", 'd': "data", 'F': "form", 'b': "cookie", 'u': "user",
	'A': "user-agent", 'e': "referer", 'G': "get", 'I': "head", 'g': "globoff",
	':': "next", 'K': "config", 'T': "upload-file", 'r': "range", 'C': "continue-at", 'z': "time-cond",

	'k': "insecure", 's': "silent", 'S': "show-error", 'i': "include", 'v': "verbose", 'L': "location",
	'f': "fail", 'N': "no-buffer", '#': "progress-bar", 'O': "remote-name", 'J': "remote-header-name",
	'R': "remote-time", 'q': "disable", '4': "ipv4", '6': "ipv6", '0': "http1.0", 'Z': "parallel", 'n': "netrc",
	'o': "output", 'w': "write-out", 'm': "max-time", 'x': "proxy", 'c': "cookie-jar", 'D': "dump-header",
	'E': "cert", 'U': "proxy-user", 'y': "speed-time", 'Y': "speed-limit",
}

func init() {
	for _, name := range strings.Fields(`insecure silent show-error include show-headers verbose location fail
		fail-with-body fail-early no-buffer buffer progress-bar no-progress-meter progress-meter remote-name
		remote-header-name remote-time disable ipv4 ipv6 http0.9 http1.0 http1.1 http2 http2-prior-knowledge http3
		http3-only parallel tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 ssl ssl-reqd tcp-nodelay tcp-fastopen raw
		basic trace-time trace-ids location-trusted post301 post302 post303 no-keepalive keepalive retry-connrefused
		retry-all-errors create-dirs styled-output netrc-optional netrc anyauth cert-status junk-session-cookies`) {
		long[name] = option{skip: true}
	}
	for _, name := range strings.Fields(`output write-out max-time connect-timeout proxy cookie-jar dump-header cert key
		cacert capath cert-type key-type pass pinnedpubkey ciphers tls-max resolve connect-to interface unix-socket
		abstract-unix-socket retry retry-delay retry-max-time max-redirs proxy-user proxy-header noproxy speed-time
		speed-limit limit-rate keepalive-time stderr trace trace-ascii output-dir max-filesize expect100-timeout
		dns-servers doh-url local-port parallel-max rate alt-svc hsts curves tls13-ciphers`) {
		long[name] = option{takes: true, skip: true}
	}
}

func (l *line) words(words []string) error {
	for i := 0; i < len(words); i++ {
		word := words[i]
		next := func() (string, bool) {
			if i+1 >= len(words) {
				return "", false
			}
			i++
			return words[i], true
		}
		var err error
		switch {
		case word == "--":
			l.urls = append(l.urls, words[i+1:]...)
			return nil
		case strings.HasPrefix(word, "--"):
			err = l.option("--"+word[2:], word[2:], next)
		case len(word) > 1 && word[0] == '-':
			err = l.letters(word[1:], next)
		default:
			l.urls = append(l.urls, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// letters reads -sSXPOST: letters in a row, the last of which may take what follows.
func (l *line) letters(letters string, next func() (string, bool)) error {
	for i := range len(letters) {
		name, known := short[letters[i]]
		if !known {
			return unknown("-" + letters[i:i+1])
		}
		rest := letters[i+1:]
		if !long[name].takes || rest == "" {
			if err := l.option("-"+letters[i:i+1], name, next); err != nil {
				return err
			}
			continue
		}
		return l.option("-"+letters[i:i+1], name, func() (string, bool) { return rest, true })
	}
	return nil
}

func (l *line) option(written, name string, next func() (string, bool)) error {
	o, known := long[name]
	if !known {
		if before, value, found := strings.Cut(name, "="); found && long[before].takes {
			return fmt.Errorf("curl: %s: curl takes the value as a word of its own: --%s %s", written, before, value)
		}
		return unknown(written)
	}
	if o.instead != "" {
		return fmt.Errorf("curl: %s is not followed here; %s", written, o.instead)
	}
	value := ""
	if o.takes {
		var given bool
		if value, given = next(); !given {
			return fmt.Errorf("curl: %s needs a value", written)
		}
	}
	if o.skip {
		return nil
	}
	return o.set(l, value)
}

func unknown(written string) error {
	return fmt.Errorf("curl: %s is not known here; leave it out if it does not change the request, or write what it does with -X, -H and --data-raw", written)
}

func (l *line) header(text string) error {
	if file, isFile := strings.CutPrefix(text, "@"); isFile {
		content, err := l.file(file)
		if err != nil {
			return err
		}
		for row := range strings.Lines(string(content)) {
			if row = strings.TrimRight(row, "\r\n"); row != "" {
				if err := l.header(strings.TrimPrefix(row, "@")); err != nil {
					return err
				}
			}
		}
		return nil
	}
	name, value, found := strings.Cut(text, ":")
	if !found {
		name, isEmpty := strings.CutSuffix(text, ";")
		if !isEmpty || name == "" {
			return fmt.Errorf("curl: -H %q: a header is written 'Name: value'", text)
		}
		l.headers = append(l.headers, Header{strings.ToLower(name), ""})
		return nil
	}
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
	if value == "" { // curl: no value takes the header away
		if l.removed == nil {
			l.removed = map[string]bool{}
		}
		l.removed[name] = true
		return nil
	}
	l.headers = append(l.headers, Header{name, value})
	return nil
}

func (l *line) file(name string) ([]byte, error) {
	content, err := l.read(name)
	if err != nil {
		return nil, fmt.Errorf("curl: reading what the command line names: %w", err)
	}
	return content, nil
}

// stripLines is what -d does to a file (curl's manual, -d).
func stripLines(b []byte) []byte {
	return slices.DeleteFunc(b, func(c byte) bool { return c == '\n' || c == '\r' || c == 0 })
}

func (l *line) addData(value string, files bool, strip func([]byte) []byte) error {
	content := []byte(value)
	if name, isFile := strings.CutPrefix(value, "@"); isFile && files {
		read, err := l.file(name)
		if err != nil {
			return err
		}
		content = bytes.Clone(read)
		if strip != nil {
			content = strip(content)
		}
	}
	l.join(content)
	return nil
}

func (l *line) join(content []byte) {
	if l.hasData {
		l.data = append(l.data, '&')
	}
	l.data = append(l.data, content...)
	l.hasData = true
}

func (l *line) addJSON(value string) error {
	content := []byte(value)
	if name, isFile := strings.CutPrefix(value, "@"); isFile {
		var err error
		if content, err = l.file(name); err != nil {
			return err
		}
	}
	l.data = append(l.data, content...) // no '&' between them
	l.hasData, l.json = true, true
	return nil
}

// urlencode: content, =content, name=content, @file, name@file.
func (l *line) urlencode(value string) error {
	name, content := "", value
	if at := strings.IndexAny(value, "=@"); at >= 0 {
		name, content = value[:at], value[at+1:]
		if value[at] == '@' {
			read, err := l.file(content)
			if err != nil {
				return err
			}
			content = string(read)
		}
	}
	text := url.QueryEscape(content) // a space is '+', as curl has it
	if name != "" {
		text = name + "=" + text
	}
	l.join([]byte(text))
	return nil
}

func (l *line) cookie(value string) error {
	if !strings.Contains(value, "=") {
		return fmt.Errorf("curl: -b %s names a cookie jar, which is not read; write the cookies: -b 'name=value'", value)
	}
	l.cookies = append(l.cookies, value)
	return nil
}

func (l *line) credentials(value string) error {
	if !strings.Contains(value, ":") {
		return fmt.Errorf("curl: -u %s: curl would ask for the password; write -u NAME:PASSWORD", value)
	}
	l.user = &value
	return nil
}

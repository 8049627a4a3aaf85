package unary

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// fields is a rule about a whole call with these header fields.
func fields(name, want string, list ...string) rule {
	return rule{name: name, do: func(p *peer) {
		p.headers(1, false, list...)
		p.data(1, true, message("hello"))
	}, stream: 1, want: want, next: 3}
}

const malformed = "RST PROTOCOL_ERROR"

func TestCheck16PseudoHeaders(t *testing.T) {
	base := call(echoPath)
	check(t, []rule{
		fields("all of them", served, base...),
		fields("no method", malformed, with(base, ":method", "-")...),
		fields("no scheme", malformed, with(base, ":scheme", "-")...),
		fields("no path", malformed, with(base, ":path", "-")...),
		fields("an empty path", malformed, with(base, ":path", "")...),
		fields("method twice", malformed, append([]string{":method", "POST"}, base...)...),
		fields("path twice", malformed, append([]string{":path", echoPath}, base...)...),
		fields("authority twice", malformed, append([]string{":authority", "test"}, base...)...),
		fields("unknown", malformed, append([]string{":protocol", "x"}, base...)...),
		fields("of an answer", malformed, append([]string{":status", "200"}, base...)...),
		fields("after the rest", malformed, append(append([]string{"x", "y"}, base...), "z", "z")...),
		fields("host is authority", served, with(base, "host", "test")...),
		fields("host only", served, with(base, ":authority", "-", "host", "test")...),
		fields("neither", served, with(base, ":authority", "-")...),
		fields("host is another", malformed, with(base, "host", "other")...),
		fields("host twice", malformed, append(base, "host", "test", "host", "test")...),
	})
}

func TestCheck17Path(t *testing.T) {
	var rules []rule
	for _, path := range []string{"test.Test/Echo", "//test.Test/Echo", "/test.Test//Echo", "/test.Test/Echo/", "/test.Test/Echo?x", "*",
		"/test.Test/%45cho", "/test.test/echo", "/test.Test/Ech", "/", "/test.Test/Echo#", "/grpc.health.v1.Health/Watch"} {
		rules = append(rules, fields(path, "200 12", with(call(echoPath), ":path", path)...))
	}
	check(t, append(rules, fields("a space at its end", malformed, with(call(echoPath), ":path", echoPath+" ")...)))
}

func TestCheck18MethodAndType(t *testing.T) {
	base := call(echoPath)
	rules := []rule{
		fields("GET", "200 12", with(base, ":method", "GET")...),
		fields("post", "200 12", with(base, ":method", "post")...),
		fields("no te", "200 12", with(base, "te", "-")...),
		fields("te gzip", malformed, with(base, "te", "gzip")...),
		fields("te trailers, gzip", malformed, with(base, "te", "trailers, gzip")...),
		fields("type twice", malformed, append(base, "content-type", "application/grpc")...),
	}
	for kind, want := range map[string]string{"application/grpc+proto": served, "application/grpc;x=y": served, "application/grpc+json": "200 12",
		"application/grpcx": "200 12", "application/json": "200 12", "text/html": "200 12", "-": "200 12"} {
		rules = append(rules, fields("content-type "+kind, want, with(base, "content-type", kind)...))
	}
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"} {
		rules = append(rules, fields(name, malformed, with(base, name, "x")...))
	}
	check(t, rules)
}

func TestCheck19Message(t *testing.T) {
	body := func(name, want string, body string, changes ...string) rule {
		return rule{name: name, do: func(p *peer) {
			p.open(1, changes...)
			p.data(1, true, []byte(body))
		}, stream: 1, want: want, next: 3}
	}
	hello := string(message("hello"))
	check(t, []rule{
		body("content-length fits", served, hello, "content-length", "10"),
		body("content-length too large", malformed, hello, "content-length", "11"),
		body("content-length too small", malformed, hello, "content-length", "9"),
		body("content-length no number", malformed, hello, "content-length", "+10"),
		body("no DATA", "200 13", ""),
		body("a part of the prefix", "200 13", "\x00\x00\x00"),
		body("prefix longer than the rest", "200 13", "\x00\x00\x00\x00\x06hello"),
		body("a byte behind", "200 13", hello+"x"),
		body("two messages", "200 13", hello+hello),
		body("unknown flag", "200 13", "\x02\x00\x00\x00\x01x"),
		body("compressed without an encoding", "200 13", "\x01\x00\x00\x00\x01x"),
		body("compressed", "200 12", "\x01\x00\x00\x00\x01x", "grpc-encoding", "identity"),
		body("an encoding we don't have", "200 12", hello, "grpc-encoding", "gzip"),
		body("identity", served, hello, "grpc-encoding", "identity"),
		body("too large by its prefix", "200 0 too large", "\x00\x00\x10\x00\x01x"),
		body("too large by four bytes of length", "200 0 too large", "\x00\xff\xff\xff\xff"),
		{name: "no DATA frame at all", do: func(p *peer) { p.headers(1, true, call(echoPath)...) }, stream: 1, want: "200 13", next: 3},
		{name: "too large before it ends", do: func(p *peer) {
			p.open(1)
			p.data(1, false, []byte("\x00\x7f\xff\xff\xff"))
		}, stream: 1, want: "200 0 too large", next: 3},
		{name: "in two parts", do: func(p *peer) {
			p.open(1)
			p.data(1, false, []byte(hello[:3]))
			p.data(1, true, []byte(hello[3:]))
		}, stream: 1, want: served, next: 3},
		{name: "an empty frame ends it", do: func(p *peer) {
			p.open(1)
			p.data(1, false, []byte(hello))
			p.data(1, true, nil)
		}, stream: 1, want: served, next: 3},
		{name: "crumbs", do: func(p *peer) {
			p.open(1)
			for _, b := range message(strings.Repeat("x", 100)) {
				p.data(1, false, []byte{b})
			}
		}, stream: 1, want: "RST ENHANCE_YOUR_CALM", next: 3},
		{name: "not ended in time", do: func(p *peer) {
			p.open(1)
			p.data(1, false, []byte(hello))
		}, stream: 1, want: "RST CANCEL", next: 3},
	}, quick)
}

// Who asks with gzip is told what is understood.
func TestCheck19AcceptEncoding(t *testing.T) {
	t.Parallel()
	p := serve(t).hello(t)
	p.open(1, "grpc-encoding", "gzip")
	for {
		if f, ok := p.read().(*http2.HeadersFrame); ok {
			list, err := p.decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil || !strings.Contains(fmt.Sprint(list), `"grpc-accept-encoding" = "identity"`) {
				t.Errorf("%v, %v", list, err)
			}
			return
		}
	}
}

func TestCheck20Timeout(t *testing.T) {
	for in, want := range map[string]time.Duration{"1n": 1, "200m": 200 * time.Millisecond, "5S": 5 * time.Second, "1M": time.Minute,
		"1H": time.Hour, "99999999u": 99999999 * time.Microsecond, "0m": 0, "99999999H": 24 * time.Hour} {
		if got, ok := parseTimeout(in); !ok || got != want {
			t.Errorf("%s: %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "m", "5", "123456789m", "-1m", "+1m", "1.5S", "1s", "1 m", "1m "} {
		if got, ok := parseTimeout(in); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
	over := func(timeout, want string) rule {
		return rule{name: timeout, do: func(p *peer) {
			p.open(1, "grpc-timeout", timeout)
			p.data(1, true, message("slow-wait"))
		}, stream: 1, want: want, next: 3}
	}
	check(t, []rule{
		over("20m", "200 0 echo:slow-wait"),       // theirs
		over("99999999H", "200 0 echo:slow-wait"), // ours
		over("0m", "200 4"),
		over("soon", "200 13"),
		fields("twice", "200 13", append(call(echoPath), "grpc-timeout", "1S", "grpc-timeout", "2S")...),
	}, func(c *Config) { c.CallTimeout = 200 * time.Millisecond })
}

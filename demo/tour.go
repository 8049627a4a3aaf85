package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// tour is a few real requests, each told beforehand and held to what was told.
type tour struct {
	*stage
	out         io.Writer
	colour      bool
	step, wrong int
}

// take visits every stop, and changes the issuer's key on the way.
func (t *tour) take(ctx context.Context) {
	for _, s := range t.stops() {
		t.visit(ctx, s)
	}
	old := t.issuer.Key()
	t.issuer.Rotate("RS256")
	t.visit(ctx, stop{title: "The issuer changes its key", path: "/orders", token: t.token("alice", "clerk"), shown: "$NEW", want: 200,
		say: "the first token of an unknown key fetches the set, once, at once"})
	t.visit(ctx, stop{title: "A token of the old key", path: "/orders", token: old.Token(t.issuer.Claims(map[string]any{"sub": "alice", "roles": []string{"clerk"}})), shown: "$OLD", want: 200,
		say: "still good: the issuer still publishes that key"})
}

// visit sends one request, shows it as a curl line with its answer, and counts what
// is not as told.
func (t *tour) visit(ctx context.Context, s stop) {
	if ctx.Err() != nil {
		return
	}
	t.step++
	if s.method == "" {
		s.method = http.MethodGet
	}
	curl := "curl -i"
	if s.method != http.MethodGet {
		curl += " -X " + s.method
	}
	curl += " " + t.envoy.URL + s.path
	for _, h := range s.with(s.shown) {
		curl += fmt.Sprintf(" -H %q", h)
	}
	if s.data != "" {
		curl += " -d '" + s.data + "'"
	}
	fmt.Fprintf(t.out, "\n%s\n  $ %s\n", t.paint("1", fmt.Sprintf("%d. %s", t.step, s.title)), curl)
	status, header, body, err := t.send(ctx, s)
	if err != nil {
		t.wrong++
		fmt.Fprintf(t.out, "  %s %v\n", t.paint("31", "✗"), err)
		return
	}
	ok := status == s.want && strings.Contains(body, s.body) && header.Get("X-Powered-By") == "" && header.Get("Server") == ""
	for _, name := range s.header {
		ok = ok && header.Get(name) != ""
	}
	for name, value := range s.exactly {
		ok = ok && header.Get(name) == value
		s.header = append(s.header, name)
	}
	mark := t.paint("32", "✓")
	if !ok {
		t.wrong++
		mark = t.paint("31", fmt.Sprintf("✗ (told: %d)", s.want))
	}
	fmt.Fprintf(t.out, "  %s %d %s\n", mark, status, http.StatusText(status))
	for _, name := range s.header {
		fmt.Fprintf(t.out, "    %s: %s\n", strings.ToLower(name), short(header.Get(name)))
	}
	fmt.Fprintf(t.out, "    %s\n", short(strings.TrimSpace(body)))
	if s.say != "" {
		fmt.Fprintf(t.out, "  %s\n", t.paint("2", s.say))
	}
}

func (t *tour) send(ctx context.Context, s stop) (int, http.Header, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, s.method, t.envoy.URL+s.path, strings.NewReader(s.data))
	if err != nil {
		return 0, nil, "", err
	}
	for _, h := range s.with(s.token) {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r) // a redirect is an answer too
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, res.Header, string(body), err
}

func short(s string) string {
	if r := []rune(s); len(r) > 150 {
		return string(r[:150]) + " …"
	}
	return s
}

func (t *tour) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// colourful says whether out is a terminal whose reader has not asked for plain text
// (https://no-color.org).
func colourful(out io.Writer) bool {
	f, isFile := out.(*os.File)
	if !isFile || os.Getenv("NO_COLOR") != "" || slices.Contains([]string{"", "dumb"}, os.Getenv("TERM")) {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func inAnHour() int64 { return time.Now().Add(time.Hour).Unix() }

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

	"authz/internal/testbed"
)

// tour is a few real requests, each told beforehand and held to what was told.
type tour struct {
	*stage
	out         io.Writer
	colour      bool
	step, wrong int
}

// stop is one request of the tour and what is to be seen of its answer.
type stop struct {
	title  string
	method string // GET unless given
	path   string
	token  string
	shown  string // what stands for the token in the curl line
	want   int
	say    string   // what there is to see
	body   string   // a part of the answer's body
	header []string // headers of the answer to show; they must be there
}

func (t *tour) take(ctx context.Context) {
	clerk := t.token("carol", "clerk")
	forged := testbed.NewKey(t.issuer.Key().ID, "RS256").Token(t.issuer.Claims(map[string]any{"sub": "carol", "roles": []string{"admin"}}))
	for _, s := range []stop{
		{title: "A public route needs no token", path: "/health", want: 200,
			say: "security headers are added; what the app runs on is gone", header: []string{"Content-Security-Policy", "X-Content-Type-Options"}},
		{title: "No token", path: "/orders", want: 401, say: "refused before the app is asked", header: []string{"WWW-Authenticate"}},
		{title: "A good token", path: "/orders", token: clerk, shown: "$CLERK", want: 200,
			say: "x-user-id and x-user-roles are headers that the app received; only the sidecar can set them", body: `"x-user-id":"carol","x-user-roles":"clerk"`, header: []string{"RateLimit"}},
		{title: "The wrong role", path: "/admin/orders", token: clerk, shown: "$CLERK", want: 403, say: "clerk is not admin; the client is not told more"},
		{title: "The right role", path: "/admin/orders", token: t.token("ada", "admin"), shown: "$ADMIN", want: 200, body: `"x-user-id":"ada"`},
		{title: "A forged token", path: "/admin/orders", token: forged, shown: "$FORGED", want: 401, say: "right key id, right claims, somebody else's signature", header: []string{"WWW-Authenticate"}},
		{title: "A path with two meanings", path: "/health/..%2fadmin/orders", want: 400, say: "an encoded slash: refused, not guessed at"},
		{title: "A route that does not exist", path: "/orders/1", token: clerk, shown: "$CLERK", want: 404, say: "order ids are UUIDs, so a counted id is no route at all"},
	} {
		t.visit(ctx, s)
	}
	old := t.issuer.Key()
	t.issuer.Rotate("RS256")
	t.visit(ctx, stop{title: "The issuer changes its key", path: "/orders", token: t.token("carol", "clerk"), shown: "$NEW", want: 200,
		say: "the first token of an unknown key fetches the set, once, at once"})
	t.visit(ctx, stop{title: "A token of the old key", path: "/orders", token: old.Token(t.issuer.Claims(map[string]any{"roles": []string{"clerk"}})), shown: "$OLD", want: 200,
		say: "still good: the issuer still publishes that key"})
	for range 5 {
		t.visit(ctx, stop{title: "Logging in", method: "POST", path: "/login", want: 200, header: []string{"RateLimit"}})
	}
	t.visit(ctx, stop{title: "… a sixth time", method: "POST", path: "/login", want: 429, say: "five in 15 minutes for one address", header: []string{"Retry-After", "RateLimit"}})
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
	if s.token != "" {
		curl += ` -H "Authorization: Bearer ` + s.shown + `"`
	}
	fmt.Fprintf(t.out, "\n%s\n  $ %s\n", t.paint("1", fmt.Sprintf("%d. %s", t.step, s.title)), curl)
	status, header, body, err := t.send(ctx, s)
	if err != nil {
		t.wrong++
		fmt.Fprintf(t.out, "  %s %v\n", t.paint("31", "✗"), err)
		return
	}
	ok := status == s.want && strings.Contains(body, s.body)
	for _, name := range s.header {
		ok = ok && header.Get(name) != ""
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
	r, err := http.NewRequestWithContext(ctx, s.method, t.envoy.URL+s.path, nil)
	if err != nil {
		return 0, nil, "", err
	}
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := http.DefaultClient.Do(r)
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

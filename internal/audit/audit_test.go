package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// lines runs the log over what it holds and returns what it wrote.
func lines(t *testing.T, l *Log, out *bytes.Buffer) []string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestLine(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, 4)
	r := Record{
		Time: noon, DecisionID: "d1", RequestID: "r1", PolicyPath: "authz/decision", Revision: "abc",
		Outcome: "denied", Status: 403, Reasons: []string{"role_missing"}, RequestedBy: "203.0.113.7", Method: "GET",
		Host: "api.example.com", HTTPPath: "/orders/1?token=hunter2&page=2&flag", Route: "orders.read",
		TokenStatus: "valid", TokenVia: "header", Issuer: "https://id.example.com/", Subject: "alice",
	}
	r.Durations.Token, r.Durations.Policy, r.Durations.Total = 1, 2, 4
	l.Record(r)
	l.Record(Record{Time: noon, DecisionID: "d2", Outcome: "allowed", Allowed: true})
	got := lines(t, l, &out)
	want := []string{
		`{"time":"2026-01-02T12:00:00Z","level":"INFO","msg":"decision","decision_id":"d1","request_id":"r1","path":"authz/decision",` +
			`"outcome":"denied","allowed":false,"status":403,"reasons":["role_missing"],"revision":"abc","requested_by":"203.0.113.7",` +
			`"method":"GET","host":"api.example.com","http_path":"/orders/1","query_names":"token&page&flag","route":"orders.read",` +
			`"token_status":"valid","token_via":"header","issuer":"https://id.example.com/","subject":"alice",` +
			`"metrics":{"timer_token_ns":1,"timer_rego_query_eval_ns":2,"timer_quota_ns":0,"timer_decision_ns":4}}`,
		`{"time":"2026-01-02T12:00:00Z","level":"INFO","msg":"decision","decision_id":"d2","request_id":"","path":"","outcome":"allowed","allowed":true,` +
			`"metrics":{"timer_token_ns":0,"timer_rego_query_eval_ns":0,"timer_quota_ns":0,"timer_decision_ns":0}}`,
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("line %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// What a peer chose is bounded, masked and escaped: one decision stays one line.
func TestPeerText(t *testing.T) {
	token := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	for name, c := range map[string]struct{ in, want string }{
		"a token in the path":      {"/reset/" + token + "/now", "/reset/***/now"},
		"a token cut by its peer":  {"/" + token[:30], "/***"},
		"a longer text":            {"/" + strings.Repeat("a", 300), "/" + strings.Repeat("a", 255) + "…"},
		"cut between characters":   {strings.Repeat("a", 255) + "é", strings.Repeat("a", 255) + "…"},
		"a token across the bound": {"/" + strings.Repeat("a", 250) + token, "/" + strings.Repeat("a", 250) + "***"},
		"a line break":             {"/a\nlevel=fake\x00", "/a\nlevel=fake\x00"},
		"what a terminal obeys":    {"/a\u009b31m\x7f\u202egpj.exe", "/a\ufffd31m\ufffd\ufffdgpj.exe"},
		"other scripts":            {"/поиск/検索/é", "/поиск/検索/é"},
		"no UTF-8":                 {"/a\xff\xfeb", "/a\ufffd\ufffdb"},
		"nothing but half letters": {strings.Repeat("\x80", 300), strings.Repeat("\ufffd", 85) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			l := New(&out, 1)
			l.Record(Record{Time: noon, HTTPPath: c.in})
			got := lines(t, l, &out)
			var line struct {
				Path string `json:"http_path"`
			}
			if len(got) != 1 {
				t.Fatalf("one decision became %d lines", len(got))
			}
			if err := json.Unmarshal([]byte(got[0]), &line); err != nil {
				t.Fatal(err)
			}
			if line.Path != c.want {
				t.Errorf("got %q, want %q", line.Path, c.want)
			}
		})
	}
}

// Of a query only names are written, masked and bounded as all texts.
func TestQueryNames(t *testing.T) {
	token := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	for query, want := range map[string]string{
		"":                               "",
		"page=2":                         "page",
		"a=1&b&a=3":                      "a&b&a",
		"password=hunter2=&x=&=nameless": "password&x&",
		"a=1;password=hunter2":           "a",
		token:                            "***",
		"id_token=" + token + "&state=1": "id_token&state",
		strings.Repeat("a=b&", 1000):     strings.Repeat("a&", 128) + "…",
	} {
		var out bytes.Buffer
		l := New(&out, 1)
		l.Record(Record{Time: noon, HTTPPath: "/p?" + query})
		var line struct {
			Path  string `json:"http_path"`
			Query string `json:"query_names"`
		}
		if err := json.Unmarshal([]byte(lines(t, l, &out)[0]), &line); err != nil {
			t.Fatal(err)
		}
		if line.Path != "/p" || line.Query != want {
			t.Errorf("%.40q: got %q and %q, want %q", query, line.Path, line.Query, want)
		}
	}
}

// Every text of a record is bounded before it waits, and the caller's list of reasons
// is not touched.
func TestBoundedWhileWaiting(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	reasons := make([]string, 100)
	for i := range reasons {
		reasons[i] = long
	}
	r := Record{
		RequestID: long, RequestedBy: long, Method: long, Host: long, HTTPPath: long + "?" + long, Route: long, Reasons: reasons,
		TokenStatus: long, TokenError: long, TokenVia: long, Issuer: long, Subject: long, Quota: long, Error: long,
	}
	l := New(io.Discard, 1)
	l.Record(r)
	kept := <-l.ring
	text, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(text); size > 20<<10 {
		t.Errorf("a waiting record takes %d bytes", size)
	}
	if len(reasons[0]) != len(long) || len(r.Reasons) != 100 {
		t.Error("the caller's reasons were shortened")
	}
}

// blocked is a writer that waits until it is let go.
type blocked struct {
	entered, released chan struct{}
	once              sync.Once
	bytes.Buffer
}

func (b *blocked) Write(p []byte) (int, error) {
	b.once.Do(func() { close(b.entered); <-b.released })
	return b.Buffer.Write(p)
}

// A writer that stands still blocks nobody; what is lost is counted and told.
func TestSlowWriter(t *testing.T) {
	w := &blocked{entered: make(chan struct{}), released: make(chan struct{})}
	l := New(w, 8)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	l.Record(Record{Time: noon, DecisionID: "first"})
	<-w.entered
	for i := range 100 {
		l.Record(Record{Time: noon, DecisionID: fmt.Sprint(i)})
	}
	if got := l.Dropped(); got != 92 {
		t.Errorf("dropped %d, want 92", got)
	}
	close(w.released)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	text := w.String()
	if got := strings.Count(text, `"msg":"decision"`); got != 9 {
		t.Errorf("%d decisions written, want 9", got)
	}
	if !strings.Contains(text, `"dropped":92`) {
		t.Errorf("the log does not say what is missing: %s", text)
	}
	if got := l.Written(); got != 9 {
		t.Errorf("Written: %d, want 9", got)
	}
}

// failing fails its first write.
type failing struct {
	failed bool
	bytes.Buffer
}

func (f *failing) Write(p []byte) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errors.New("disk full")
	}
	return f.Buffer.Write(p)
}

// A failed write loses its lines, is counted, and the log goes on.
func TestFailedWrite(t *testing.T) {
	w := &failing{}
	l := New(w, 8)
	for _, id := range []string{"lost", "kept"} {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		l.Record(Record{Time: noon, DecisionID: id})
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.Errors(); got != 1 {
		t.Errorf("errors: %d, want 1", got)
	}
	if text := w.String(); strings.Contains(text, "lost") || !strings.Contains(text, "kept") {
		t.Errorf("got %q", text)
	}
}

// tearing writes a part of what it is given, and then fails once.
type tearing struct {
	at    int
	calls []string
}

func (w *tearing) Write(p []byte) (int, error) {
	if n := w.at; n > 0 {
		w.at = 0
		w.calls = append(w.calls, string(p[:n]))
		return n, nil // a short write that does not say so
	}
	w.calls = append(w.calls, string(p))
	return len(p), nil
}

// After a write that stopped within a line, the next line is a line again.
func TestTornLine(t *testing.T) {
	w := &tearing{at: 10}
	l := New(w, 8)
	for range 2 {
		ctx, stop := context.WithCancel(context.Background())
		stop()
		l.Record(Record{Time: noon})
		if err := l.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.calls) != 2 || !strings.HasPrefix(w.calls[1], "\n{") || l.Errors() != 1 {
		t.Errorf("got %q and %d errors", w.calls, l.Errors())
	}
}

// Under load lines go out in bunches, and never a part of one.
func TestWholeLines(t *testing.T) {
	w := &tearing{}
	l := New(w, 1000)
	for range 1000 {
		l.Record(Record{Time: noon, HTTPPath: "/" + strings.Repeat("a", 200)})
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, call := range w.calls {
		total += strings.Count(call, "\n")
		if !strings.HasSuffix(call, "}\n") || len(call) > flushAt+4096 {
			t.Errorf("a write of %d bytes ends with %q", len(call), call[len(call)-2:])
		}
	}
	if total != 1000 || len(w.calls) > 10 {
		t.Errorf("%d lines in %d writes", total, len(w.calls))
	}
}

// What is lost is told even if nothing comes after it.
func TestGapAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, 1)
	for range 3 {
		l.Record(Record{Time: noon, DecisionID: "d"})
	}
	got := lines(t, l, &out)
	want := `{"time":"2026-01-02T12:00:00Z","level":"WARN","msg":"decisions not logged: the log could not keep up","dropped":2}`
	if len(got) != 2 || got[1] != want {
		t.Errorf("got %q, want the second to be %s", got, want)
	}
}

// Many recorders at once: each record is written or counted as dropped.
func TestNothingUncounted(t *testing.T) {
	l := New(io.Discard, 64)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				l.Record(Record{Time: noon})
			}
		})
	}
	all.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := l.Written() + l.Dropped(); got != 16000 {
		t.Errorf("%d written + %d dropped = %d, want 16000", l.Written(), l.Dropped(), got)
	}
}

func BenchmarkLine(b *testing.B) {
	l := New(io.Discard, 1)
	r := Record{
		Time: noon, DecisionID: "4f9c3e1a-6a3e-4a52-9c51-0d6f7d9a2b11", RequestID: "r1", PolicyPath: "authz/decision", Revision: "abc",
		Outcome: "denied", Status: 403, Reasons: []string{"role_missing"}, RequestedBy: "203.0.113.7", Method: "GET",
		Host: "api.example.com", HTTPPath: "/orders/1?token=hunter2&page=2&flag", Route: "orders.read",
		TokenStatus: "valid", TokenVia: "header", Issuer: "https://id.example.com/", Subject: "alice",
	}
	b.ReportAllocs()
	for b.Loop() {
		l.write(&r)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := New(io.Discard, 1<<16)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go l.Run(ctx)
	r := Record{Time: noon, DecisionID: "d", Outcome: "allowed", HTTPPath: "/orders/1?a=b"}
	b.ReportAllocs()
	for b.Loop() {
		l.Record(r)
	}
}

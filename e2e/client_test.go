package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"authz/internal/testbed"
)

// answer is what a client got.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// seen is what the app received, when the answer is its echo.
func (a answer) seen(t *testing.T) testbed.Seen {
	t.Helper()
	var s testbed.Seen
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		t.Fatalf("the answer (%d) is not the app's: %s", a.Status, a.Body)
	}
	return s
}

// request writes a request octet by octet as given: no client library that would
// clean it up is in the way. Lines are the headers after Host.
type request struct {
	method  string // GET unless given
	target  string
	host    string // api.example.com unless given
	headers []string
	body    string
}

func (r request) String() string {
	method, host := r.method, r.host
	if method == "" {
		method = "GET"
	}
	if host == "" {
		host = "api.example.com"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, r.target, host)
	for _, h := range r.headers {
		b.WriteString(h + "\r\n")
	}
	if r.body != "" || method == "POST" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n" + r.body)
	return b.String()
}

// send sends a request and reads the whole answer.
func send(t *testing.T, e *testbed.Envoy, r request) answer {
	t.Helper()
	return sendRaw(t, e, r.method, r.String())
}

func sendRaw(t *testing.T, e *testbed.Envoy, method, raw string) answer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", e.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// An Envoy that refuses early closes before all is written: not our error.
	_, _ = io.WriteString(conn, raw)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %.80q: %v", raw, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// refusal is a generic refusal's body (RFC 9457).
type refusal struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
}

// wantRefused holds an answer to be an explicit refusal with that status, with a
// generic body that gives nothing away, and the app not to have been asked.
func wantRefused(t *testing.T, a answer, status int) {
	t.Helper()
	if a.Status != status {
		t.Errorf("got %d, want %d: %.300s", a.Status, status, a.Body)
		return
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	var body refusal
	d := json.NewDecoder(strings.NewReader(a.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		t.Errorf("the body is not a bare problem: %v: %s", err, a.Body)
		return
	}
	if body.Status != status || body.RequestID == "" {
		t.Errorf("the body says %+v", body)
	}
}

// wantApp holds an answer to come from the app.
func wantApp(t *testing.T, a answer) testbed.Seen {
	t.Helper()
	if a.Status != 200 {
		t.Fatalf("got %d, want the app's 200: %.300s", a.Status, a.Body)
	}
	return a.seen(t)
}

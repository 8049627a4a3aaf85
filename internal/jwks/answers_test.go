package jwks

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The API server of Kubernetes serves its keys under their own media type alone.
func TestKeySetMediaType(t *testing.T) {
	i := startIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "application/jwk-set+json") {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		body(named("r1"))(w, r)
	})
	s, c, _ := start(t, Config{URL: i.URL})
	c.fetched(t)
	wantKey(t, s, "r1")
}

// Whatever the issuer answers, the last good set stays in force and requests go on.
func TestBadAnswersKeepTheLastGoodSet(t *testing.T) {
	elsewhere := startIssuer(t, body(named("r2")))
	garbage := "<html>secret-in-the-body</html>"
	answers := map[string]http.HandlerFunc{
		"500":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, garbage, 500) },
		"204":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"garbage":  body([]byte(garbage)),
		"empty":    body(nil),
		"no list":  body([]byte(`{"keys":{"a":1}}`)),
		"null":     body([]byte(`{"keys":null}`)),
		"no keys":  body([]byte(`{"keys":[]}`)),
		"only oct": body([]byte(`{"keys":[{"kty":"oct","kid":"r1","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`)),
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(named("r2"))
		},
		"not HTTP": hijack(garbage),
		"hanging":  hang,
		"hanging after the headers": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"another host":   redirect(elsewhere.URL),
		"plain redirect": redirect("http://example.com/keys"),
		"in circles":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, 302) },
		"304 unasked":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) },
		"too big":        body(append([]byte(`{"keys":[]`), bytes.Repeat([]byte(" "), 1<<20)...)),
		"a gigabyte": func(w http.ResponseWriter, _ *http.Request) {
			for chunk, n := make([]byte, 64<<10), 0; n < 1<<30; n += len(chunk) {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			i := startIssuer(t, body(named("r1")))
			var received atomic.Int64
			s, c, log := start(t, Config{URL: i.URL, Timeout: 300 * time.Millisecond, MinRefresh: time.Second}, countBytes(&received))
			c.fetched(t)
			before := wantKey(t, s, "r1")

			i.say(answer)
			served := keepAsking(t, s, "r1")
			c.refresh(t)
			if pause := c.refresh(t); pause > time.Second {
				t.Errorf("tries again only after %s", pause)
			}
			n := served()
			if after := wantKey(t, s, "r1"); after.Generation != before.Generation {
				t.Errorf("generation went from %d to %d", before.Generation, after.Generation)
			}
			st := s.Status()
			if st.Fetches != 3 || st.Failures != 2 || st.LastError == "" || !st.Ready || st.Stale || st.Keys != 1 {
				t.Errorf("status = %+v", st)
			}
			if bytes.Contains(log.Bytes(), []byte("secret-in-the-body")) || bytes.Contains([]byte(st.LastError), []byte("secret-in-the-body")) {
				t.Errorf("the issuer's answer was repeated: %s", log)
			}
			if got := received.Load(); got > 2*(1<<20+64<<10) {
				t.Errorf("received %d bytes from two bad answers", got)
			}

			i.say(body(named("r2")))
			c.refresh(t)
			wantKey(t, s, "r2")
			t.Logf("%d requests served meanwhile; %d fetches, %d bytes received; last error %q", n, i.asked.Load(), received.Load(), st.LastError)
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

// countBytes counts what a set receives over the network.
func countBytes(n *atomic.Int64) func(*Set) {
	return func(s *Set) {
		transport := s.source.client.Transport.(*http.Transport)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return countingConn{conn, n}, err
		}
	}
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func hijack(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
}

// keepAsking asks for a key that is there, over and over, until the function it
// returns is called, which says how often. Each answer must come, and be right.
func keepAsking(t *testing.T, s *Set, id string) func() int {
	t.Helper()
	stop, asked := make(chan struct{}), make(chan int)
	begun := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				asked <- n
				return
			default:
			}
			if _, err := s.Key(t.Context(), id, "RS256"); err != nil {
				t.Errorf("request %d for a good key: %v", n, err)
			}
			if n == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	return func() int { close(stop); return <-asked }
}

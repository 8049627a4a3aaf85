package envoy_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"authz/internal/testbed"
)

// problem is the body of a reply that Envoy makes itself.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	RequestID string `json:"request_id"`
}

// wantLocal holds one reply that Envoy made itself to what all of them must be.
func wantLocal(t *testing.T, res *http.Response, body string, status int, title string) {
	t.Helper()
	var got problem
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%s, body %q: %v", res.Status, body, err)
	}
	if want := (problem{"about:blank", title, status, res.Header.Get("X-Request-Id")}); got != want || res.StatusCode != status {
		t.Errorf("%s, body %+v, want %+v", res.Status, got, want)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content-type %q", got)
	}
	if absent := missing(res.Header, security); absent != nil {
		t.Errorf("without %v", absent)
	}
	if got := res.Header.Values("Server"); got != nil {
		t.Errorf("server: %q", got)
	}
}

// What never reaches the sidecar is refused by Envoy, in the sidecar's words.
func TestRefusedByEnvoy(t *testing.T) {
	w := start(t)
	get := func(target string, lines ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: api.example.com\r\n" + strings.Join(append(lines, "", ""), "\r\n")
	}
	for _, c := range []struct {
		name, request string
		status        int
		title         string
	}{
		{"escaped slash", get("/public%2fadmin"), 400, "Bad Request"},
		{"escaped backslash", get("/public%5Cadmin"), 400, "Bad Request"},
		{"fragment", get("/admin#x"), 400, "Bad Request"},
		{"underscore in a header's name", get("/", "x_user_id: admin"), 400, "Bad Request"},
		{"control byte in a header", get("/", "x-note: a\x01b"), 400, "Bad Request"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Bad Request"},
		{"not HTTP", "HELLO\r\n\r\n", 400, "Bad Request"},
		{"upgrade", get("/", "Connection: upgrade", "Upgrade: websocket"), 403, "Forbidden"},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 404, "Not Found"},
		{"body over the limit", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n" + strings.Repeat("a", 1048577), 413, "Content Too Large"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 426, "Upgrade Required"},
		{"headers too large", get("/", "x-note: "+strings.Repeat("a", 33<<10)), 431, "Request Header Fields Too Large"},
		{"too many headers", get("/", strings.Split(strings.Repeat("x-note: a\n", 65)+"x-note: a", "\n")...), 431, "Request Header Fields Too Large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := w.raw(t, c.request)
			wantLocal(t, res, body, c.status, c.title)
		})
	}
	if n, m := len(w.sidecar.checks()), len(w.app.Seen()); n+m != 0 {
		t.Errorf("%d requests reached the sidecar, %d the app", n, m)
	}
}

// No answer is a refusal, and it ends with the outage.
func TestSidecarGone(t *testing.T) {
	dead := &sidecar{socket: t.TempDir() + "/s"}
	app := testbed.NewApp()
	defer app.Close()
	e, err := testbed.StartEnvoy(t.Context(), testbed.EnvoyOptions{Sidecar: dead.socket, App: app.Addr})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	w := &world{envoy: e, app: app, sidecar: dead}
	res, body := w.get(t, "/")
	wantLocal(t, res, body, 503, "Service Unavailable")
	if retries, err := e.Stat(t.Context(), "cluster.authz.upstream_rq_retry"); err != nil || retries != 2 {
		t.Errorf("%d retries, %v; want 2", retries, err)
	}
	if len(app.Seen()) != 0 {
		t.Error("the app was reached")
	}
	defer dead.serve(t)()
	if res, body := w.get(t, "/"); res.StatusCode != 200 {
		t.Errorf("with the sidecar back: %s, %s", res.Status, body)
	}
}

func TestSidecarSilent(t *testing.T) {
	w := start(t)
	w.sidecar.answers(func(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	begun := time.Now()
	res, body := w.get(t, "/")
	wantLocal(t, res, body, 503, "Service Unavailable")
	if took := time.Since(begun); took < 900*time.Millisecond || took > 3*time.Second {
		t.Errorf("answered after %s, want about 1 s", took)
	}
	if n := len(w.sidecar.checks()); n != 1 {
		t.Errorf("asked %d times: a check that was begun may have charged a quota", n)
	}
	if len(w.app.Seen()) != 0 {
		t.Error("the app was reached")
	}
}

// What goes wrong behind Envoy stays behind Envoy.
func TestAppGone(t *testing.T) {
	w := start(t, testbed.Edit{Path: testbed.AppHost + ".routes.0.route.timeout", Value: "0.2s"})
	t.Run("silent", func(t *testing.T) {
		w.app.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		res, body := w.get(t, "/")
		wantLocal(t, res, body, 504, "Gateway Timeout")
	})
	t.Run("breaks off", func(t *testing.T) {
		w.app.Answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		res, body := w.get(t, "/")
		wantLocal(t, res, body, 503, "Service Unavailable")
	})
	t.Run("speaks no HTTP", func(t *testing.T) {
		w.app.Answer(func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
			_ = conn.Close()
		})
		res, body := w.get(t, "/")
		wantLocal(t, res, body, 502, "Bad Gateway")
	})
	t.Run("away", func(t *testing.T) {
		w.app.Close()
		res, body := w.get(t, "/")
		wantLocal(t, res, body, 503, "Service Unavailable")
	})
}

// A refusal by the sidecar passes untouched, whatever its status: the words, the
// headers and the lack of a body are its own.
func TestRefusedBySidecar(t *testing.T) {
	w := start(t)
	for _, c := range []struct {
		name, body, contentType string
		status                  int
	}{
		{"403", `{"title":"Forbidden"}`, "application/problem+json", 403},
		{"503, as for missing keys", `{"title":"Service Unavailable"}`, "application/problem+json", 503},
		{"429 in HTML", "<p>slow down", "text/html", 429},
		{"204, a preflight", "", "", 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.sidecar.answers(func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
				r := deny(c.status, c.body, header("x-frame-options", "DENY"))
				if c.contentType != "" {
					denied := r.GetDeniedResponse()
					denied.Headers = append(denied.Headers, header("content-type", c.contentType))
				}
				return r, nil
			})
			res, body := w.get(t, "/")
			if res.StatusCode != c.status || body != c.body || res.Header.Get("Content-Type") != c.contentType {
				t.Errorf("%s %q %q", res.Status, res.Header.Get("Content-Type"), body)
			}
			if got := res.Header.Values("X-Frame-Options"); len(got) != 1 || got[0] != "DENY" {
				t.Errorf("x-frame-options %q", got)
			}
		})
	}
}

// An answer that would split the client's response becomes a plain 500.
func TestUnsoundAnswer(t *testing.T) {
	w := start(t)
	for name, answer := range map[string]*authv3.CheckResponse{
		"denied":  deny(403, "", header("x-note", "a\r\nset-cookie: b")),
		"allowed": allow(&authv3.OkHttpResponse{ResponseHeadersToAdd: deny(403, "", header("x-note", "a\nb")).GetDeniedResponse().Headers}),
	} {
		t.Run(name, func(t *testing.T) {
			w.sidecar.answers(func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) { return answer, nil })
			res, body := w.get(t, "/")
			wantLocal(t, res, body, 500, "Internal Server Error")
		})
	}
}

package envoy_test

import (
	"context"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	"authz/internal/testbed"
)

// The file is sound as it lies there, ports and paths included.
func TestValidates(t *testing.T) {
	binary, err := testbed.EnvoyBinary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "--mode", "validate", "--log-level", "warn", "-c", "envoy.yaml").CombinedOutput()
	if err != nil || strings.Contains(string(out), "eprecated") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The check and the app read one and the same target.
func TestOneReading(t *testing.T) {
	w := start(t)
	for _, c := range []struct{ target, host, wantPath, wantHost string }{
		{"/public/../admin", "api.example.com", "/admin", "api.example.com"},
		{"/public/%2e%2e/admin", "api.example.com", "/admin", "api.example.com"},
		{"//admin///x", "api.example.com", "/admin/x", "api.example.com"},
		{"/public\\..\\admin", "api.example.com", "/admin", "api.example.com"},
		{"/a?next=//b/../c", "api.example.com", "/a?next=//b/../c", "api.example.com"},
		{"/", "api.example.com.", "/", "api.example.com"},
		{"/", "api.example.com.:8443", "/", "api.example.com:8443"},
	} {
		w.app.Forget()
		w.sidecar.answers(nil)
		res, body := w.raw(t, "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n")
		if res.StatusCode != 200 {
			t.Errorf("%s: %s %s", c.target, res.Status, body)
			continue
		}
		type reading struct{ path, host string }
		checked := w.sidecar.checks()[0].Attributes.Request.Http
		want := reading{c.wantPath, c.wantHost}
		if got := (reading{checked.Path, checked.Host}); got != want {
			t.Errorf("%s %s: the check sees %v, want %v", c.host, c.target, got, want)
		}
		if got := (reading{w.app.Seen()[0].Path, w.app.Seen()[0].Host}); got != want {
			t.Errorf("%s %s: the app sees %v, want %v", c.host, c.target, got, want)
		}
	}
}

// forged are headers by which a client would be somebody or somewhere else.
var forged = []string{
	"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test", "X-Forwarded-Port: 443",
	"X-Forwarded-Prefix: /admin", "X-Forwarded-Server: evil", "X-Forwarded-Client-Cert: By=evil", "Forwarded: for=203.0.113.9",
	"X-Real-IP: 203.0.113.9", "True-Client-IP: 203.0.113.9", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
	"X-HTTP-Method: DELETE", "X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-Request-Id: mine",
	"X-Envoy-Original-Path: /admin", "X-Envoy-Internal: true", "X-Envoy-Max-Retries: 100", "X-Envoy-Retry-On: 5xx",
	"X-Envoy-Upstream-Rq-Timeout-Ms: 1", "X-Envoy-External-Address: 203.0.113.9", "X-Envoy-Decorator-Operation: x",
}

func TestForgedHeaders(t *testing.T) {
	w := start(t)
	res, body := w.get(t, "/", forged...)
	if res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, body)
	}
	got := w.app.Seen()[0].Headers
	id := got.Get("X-Request-Id")
	if len(id) != 36 || res.Header.Get("X-Request-Id") != id {
		t.Errorf("x-request-id %q to the app, %q to the client", id, res.Header.Get("X-Request-Id"))
	}
	// Envoy appends the peer; for a peer on loopback it writes an address of the host.
	first, last, _ := strings.Cut(got.Get("X-Forwarded-For"), ",")
	if first != "203.0.113.9" || last == "" || strings.Contains(last, "203.0.113.9") {
		t.Errorf("x-forwarded-for %q, want the peer behind the client's entry", got.Get("X-Forwarded-For"))
	}
	want := http.Header{
		"X-Envoy-External-Address": {"127.0.0.1"},
		"X-Forwarded-For":          got["X-Forwarded-For"],
		"X-Forwarded-Proto":        {"http"},
		"X-Request-Id":             {id},
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the app got %v, want %v", got, want)
	}
	attributes := w.sidecar.checks()[0].Attributes
	if got := attributes.Source.Address.GetSocketAddress().GetAddress(); got != "127.0.0.1" {
		t.Errorf("source %s, want the peer", got)
	}
	if got := attributes.Request.Http.Scheme; got != "http" {
		t.Errorf("scheme %s, want what the connection is", got)
	}
}

// The address of the client reaches the sidecar beside the check, whatever the client
// says; the check itself names the peer of the connection, be it a proxy.
func TestClientAddress(t *testing.T) {
	lies := []string{"X-Forwarded-For: 203.0.113.9, 198.51.100.7", "X-Forwarded-Proto: https",
		"X-Envoy-External-Address: 203.0.113.9", "X-Authz-Client-Address: 203.0.113.9"}
	for _, c := range []struct {
		name            string
		hops            int
		address, scheme string
	}{
		{"no proxy: the peer", 0, "127.0.0.1", "http"},
		{"a proxy of ours: the entry that it wrote", 1, "198.51.100.7", "https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, testbed.Edit{Path: testbed.HCM + ".xff_num_trusted_hops", Value: c.hops})
			beside := make(chan []string, 1)
			w.sidecar.answers(func(ctx context.Context, _ *authv3.CheckRequest) (*authv3.CheckResponse, error) {
				beside <- metadata.ValueFromIncomingContext(ctx, "x-authz-client-address")
				return allow(&authv3.OkHttpResponse{}), nil
			})
			if res, body := w.get(t, "/", lies...); res.StatusCode != 200 {
				t.Fatalf("%s %s", res.Status, body)
			}
			if got := <-beside; !slices.Equal(got, []string{c.address}) {
				t.Errorf("address %q, want %s", got, c.address)
			}
			attributes := w.sidecar.checks()[0].Attributes
			if got := attributes.Request.Http.Scheme; got != c.scheme {
				t.Errorf("scheme %s, want %s", got, c.scheme)
			}
			if got := attributes.Source.Address.GetSocketAddress().GetAddress(); got != "127.0.0.1" {
				t.Errorf("source %s, want the peer", got)
			}
		})
	}
}

// Octets arrive at the check as they came: headers and body.
func TestOctets(t *testing.T) {
	w := start(t)
	sent := "{\"name\":\"\xff\x00\"}"
	res, body := w.raw(t, "POST / HTTP/1.1\r\nHost: a\r\nX-Note: caf\xe9\r\nX-Role: a\r\nX-Role: b\r\nContent-Length: "+strconv.Itoa(len(sent))+"\r\n\r\n"+sent)
	if res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, body)
	}
	checked := w.sidecar.checks()[0].Attributes.Request.Http
	if string(checked.RawBody) != sent || checked.Body != "" {
		t.Errorf("raw_body %q, body %q, want %q", checked.RawBody, checked.Body, sent)
	}
	if got := w.app.Seen()[0].Body; got != sent {
		t.Errorf("the app got %q", got)
	}
	values := map[string][]string{}
	for _, h := range checked.HeaderMap.GetHeaders() {
		values[h.Key] = append(values[h.Key], string(h.RawValue))
	}
	if !slices.Equal(values["x-note"], []string{"caf\xe9"}) || !slices.Equal(values["x-role"], []string{"a", "b"}) {
		t.Errorf("x-note %q, x-role %q", values["x-note"], values["x-role"])
	}
}

// Answers do not say what they were made with.
func TestAnswersGiveNothingAway(t *testing.T) {
	w := start(t)
	res, _ := w.get(t, "/")
	for _, name := range []string{"Server", "X-Powered-By", "X-Envoy-Upstream-Service-Time"} {
		if got := res.Header.Values(name); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAccessLog(t *testing.T) {
	w := start(t)
	w.sidecar.answers(func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
		r := allow(&authv3.OkHttpResponse{})
		r.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{"decision_id": structpb.NewStringValue("d-1")}}
		return r, nil
	})
	w.get(t, "/orders/1?access_token=hush-q", "Authorization: Bearer hush-a", "Cookie: session=hush-c")
	line, err := w.envoy.Log().Wait(t.Context(), func(line string) bool { return strings.Contains(line, `"path":"/orders/1"`) })
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(line, `"decision_id":"d-1"`) || !strings.Contains(line, `"status":200`) {
		t.Errorf("line %s", line)
	}
	if strings.Contains(w.envoy.Log().String(), "hush") {
		t.Errorf("the log holds a secret: %s", line)
	}
}

// The admin interface tells how Envoy is, and obeys nobody.
func TestAdmin(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/ready", "/stats?filter=ext_authz", "/stats/prometheus", "/listeners"} {
		if _, err := w.envoy.AdminGet(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"/quitquitquit", "/config_dump", "/runtime_modify?a=b", "/drain_listeners", "/healthcheck/fail", "/logging?level=trace", "/certs"} {
		res, err := http.Post(w.envoy.Admin+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("POST %s: %s", path, res.Status)
		}
	}
}

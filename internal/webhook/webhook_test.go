package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"authz/internal/inject"
)

var platform = inject.Options{Version: "1.2.3", Image: "authz:1", EnvoyImage: "envoy:1", PullPolicy: "IfNotPresent"}

// reviewOf is what the API server sends when a pod is created.
func reviewOf(pod string, edits ...string) string {
	text := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},
		"resource":{"group":"","version":"v1","resource":"pods"},"requestKind":{"group":"","version":"v1","kind":"Pod"},"name":"web","namespace":"shop",
		"operation":"CREATE","userInfo":{"username":"system:admin"},"object":` + pod + `,"oldObject":null,"dryRun":false,"options":{}}}`
	return strings.NewReplacer(edits...).Replace(text)
}

func podWith(labels string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"web-","labels":{` + labels + `}},
		"spec":{"containers":[{"name":"app","image":"app","ports":[{"containerPort":8080,"protocol":"TCP"}]}],"priority":0,"somethingNew":12345678901234567890}}`
}

const asks = `"authz.dev/inject":"true"`

type answered struct {
	code     int
	body     string
	response response
	outcomes []Outcome
}

func post(t *testing.T, path, body string) answered {
	t.Helper()
	var a answered
	i := NewInjector(platform, "authz-system", slog.New(slog.DiscardHandler), func(o Outcome) { a.outcomes = append(a.outcomes, o) })
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	a.code, a.body = w.Code, w.Body.String()
	if w.Code == http.StatusOK {
		var r review
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.APIVersion != "admission.k8s.io/v1" || r.Kind != "AdmissionReview" || r.Response.UID != "u-1" || r.Request != nil {
			t.Errorf("no answer to this review: %s", w.Body)
		}
		a.response = *r.Response
	}
	return a
}

// patched carries out the patch as the API server does.
func patched(t *testing.T, pod string, patch []byte) inject.Object {
	t.Helper()
	var operations []struct {
		Op, Path string
		Value    any
	}
	var o inject.Object
	if err := unmarshal([]byte(pod), &o); err != nil {
		t.Fatal(err)
	}
	if err := unmarshal(patch, &operations); err != nil {
		t.Fatal(err)
	}
	for _, op := range operations {
		at, keys := o, strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
		for _, k := range keys[:len(keys)-1] {
			at = at[k].(inject.Object)
		}
		last := keys[len(keys)-1]
		if _, there := at[last]; op.Op == "replace" && !there {
			t.Fatalf("replace of %s, which is not there", op.Path)
		}
		at[last] = op.Value
	}
	return o
}

func TestInjects(t *testing.T) {
	pod := podWith(asks)
	a := post(t, PodPath, reviewOf(pod))
	if !a.response.Allowed || a.response.PatchType != "JSONPatch" || !reflect.DeepEqual(a.outcomes, []Outcome{Injected}) {
		t.Fatalf("%+v", a)
	}
	got := patched(t, pod, a.response.Patch)
	var plain inject.Object
	if err := unmarshal([]byte(pod), &plain); err != nil {
		t.Fatal(err)
	}
	want, _, err := inject.Pod(plain, platform)
	if err != nil {
		t.Fatal(err)
	}
	if !same(got, want) {
		t.Error("the pod is not as authz inject makes it")
	}
	text, _ := json.Marshal(got)
	if !bytes.Contains(text, []byte("12345678901234567890")) {
		t.Error("a number that is not known here did not stay as it was written")
	}
	if len(a.response.Warnings) == 0 || !strings.HasPrefix(a.response.Warnings[0], "authz: ") {
		t.Errorf("warnings: %q", a.response.Warnings)
	}
	// The injected pod comes again (another webhook changed it): nothing to do.
	if again := post(t, PodPath, reviewOf(string(text))); !again.response.Allowed || again.response.Patch != nil {
		t.Errorf("injected again it changes: %s", again.response.Patch)
	}
}

func TestLeavesAlone(t *testing.T) {
	tests := map[string]struct{ path, body string }{
		"no label":                   {PodPath, reviewOf(podWith(`"app":"web"`))},
		"label false":                {PodPath, reviewOf(podWith(`"authz.dev/inject":"false"`))},
		"label false in a namespace": {NamespacePath, reviewOf(podWith(`"authz.dev/inject":"false"`))},
		"its own namespace":          {NamespacePath, reviewOf(podWith(asks), `"namespace":"shop"`, `"namespace":"authz-system"`)},
		"an update":                  {PodPath, reviewOf(podWith(asks), "CREATE", "UPDATE")},
		"a deletion without object":  {PodPath, reviewOf("null", "CREATE", "DELETE")},
		"another resource":           {PodPath, reviewOf(podWith(asks), `"resource":"pods"`, `"resource":"services"`)},
		"another group's pods":       {PodPath, reviewOf(podWith(asks), `"resource":{"group":""`, `"resource":{"group":"metrics.k8s.io"`)},
		"an ephemeral container":     {PodPath, reviewOf(podWith(asks), `"name":"web",`, `"subResource":"ephemeralcontainers",`)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := post(t, test.path, test.body)
			if !a.response.Allowed || a.response.Patch != nil || !reflect.DeepEqual(a.outcomes, []Outcome{Untouched}) {
				t.Errorf("%+v", a)
			}
		})
	}
	if a := post(t, NamespacePath, reviewOf(podWith(`"app":"web"`))); a.response.Patch == nil {
		t.Error("a pod without label in a chosen namespace is left alone")
	}
}

// A pod that can't be protected is refused, and told why.
func TestRefuses(t *testing.T) {
	pod := strings.Replace(podWith(asks), `"priority":0`, `"hostNetwork":true`, 1)
	a := post(t, PodPath, reviewOf(pod))
	if a.response.Allowed || a.response.Status.Code != 422 || !strings.Contains(a.response.Status.Message, "remove hostNetwork") {
		t.Errorf("%+v", a)
	}
	if !reflect.DeepEqual(a.outcomes, []Outcome{Refused}) {
		t.Errorf("%v", a.outcomes)
	}
	if a := post(t, PodPath, reviewOf(`"no pod"`)); a.response.Allowed || a.response.Status.Message != "the pod can't be read" {
		t.Errorf("%+v", a)
	}
}

// What is no review gets a status code and no detail.
func TestNoReview(t *testing.T) {
	good := reviewOf(podWith(asks))
	tests := map[string]struct {
		body string
		code int
	}{
		"nothing":          {"", 400},
		"half of it":       {good[:len(good)/2], 400},
		"two of them":      {good + good, 400},
		"an older version": {strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 400},
		"another kind":     {strings.Replace(good, "AdmissionReview", "ConversionReview", 1), 400},
		"no request":       {`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, 400},
		"no uid":           {strings.Replace(good, "u-1", "", 1), 400},
		"too deep":         {strings.Repeat("[", 100_000), 400},
		"too large":        {`{"x":"` + strings.Repeat("a", maxReview) + `"}`, 413},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := post(t, PodPath, test.body)
			if a.code != test.code || len(a.body) > 80 {
				t.Errorf("%d %s", a.code, a.body)
			}
			if !reflect.DeepEqual(a.outcomes, []Outcome{Failed}) {
				t.Errorf("%v", a.outcomes)
			}
		})
	}
	i := NewInjector(platform, "", slog.New(slog.DiscardHandler), func(Outcome) {})
	for _, c := range []struct {
		method, path, kind string
		code               int
	}{
		{"GET", PodPath, "application/json", 405}, {"POST", "/", "application/json", 404}, {"POST", PodPath, "text/yaml", 415},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(good))
		r.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		i.Handler().ServeHTTP(w, r)
		if w.Code != c.code {
			t.Errorf("%s %s %s: %d", c.method, c.path, c.kind, w.Code)
		}
	}
}

// A flood is turned away, and no memory is spent on it.
func TestFlood(t *testing.T) {
	i := NewInjector(platform, "", slog.New(slog.DiscardHandler), func(Outcome) {})
	for range maxInFlight {
		i.slots <- struct{}{}
	}
	r := httptest.NewRequest(http.MethodPost, PodPath, strings.NewReader(reviewOf(podWith(asks))))
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Error(w.Code)
	}
}

// A panic is a failure of this one review.
func TestPanic(t *testing.T) {
	i := NewInjector(platform, "", slog.New(slog.DiscardHandler), func(o Outcome) {
		if o != Failed {
			panic("boom")
		}
	})
	r := httptest.NewRequest(http.MethodPost, PodPath, strings.NewReader(reviewOf(podWith(asks))))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	if w.Code != 500 || strings.TrimSpace(w.Body.String()) != "internal error" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Over TLS with the keeper's certificate, which changes while the server runs.
func TestServe(t *testing.T) {
	w := newWorld(t)
	k := w.keeper(t)
	w.now = time.Now()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := NewInjector(platform, "", slog.New(slog.DiscardHandler), func(Outcome) {})
	ended := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- Serve(ctx, l, i.Handler(), k.Certificate, slog.New(slog.DiscardHandler)) }()

	ask := func() (*x509.Certificate, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		answer, err := client.Post("https://"+l.Addr().String()+PodPath, "application/json", strings.NewReader(reviewOf(podWith(asks))))
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != 200 {
			return nil, fmt.Errorf("%d, %w", answer.StatusCode, err)
		}
		return answer.TLS.PeerCertificates[0], nil
	}
	if _, err := ask(); err == nil {
		t.Error("a handshake without a certificate")
	}
	first := look(t, k)
	if got, err := ask(); err != nil || !got.Equal(first) {
		t.Errorf("%v", err)
	}
	w.change(secretPath, func(o inject.Object) { delete(o, "data") })
	second := look(t, k)
	if got, err := ask(); err != nil || !got.Equal(second) || second.Equal(first) {
		t.Errorf("the new certificate is not served: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	up := false
	h := Health(func() bool { return up })
	ask := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return w.Code
	}
	if ask("/livez") != 200 || ask("/readyz") != 503 {
		t.Error("alive, and not ready")
	}
	if up = true; ask("/readyz") != 200 || ask("/") != 404 {
		t.Error("ready")
	}
}

// Files follows what is in the files, and keeps what it has when they break.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	f := &Files{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), Log: slog.New(slog.DiscardHandler), Failed: func() {}}
	if f.Look() == nil || f.Certificate() != nil {
		t.Error("there is nothing to read")
	}
	write := func() *x509.Certificate {
		var m material
		data := map[string][]byte{}
		if _, err := m.renew("x.svc", time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := m.write(data); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{tlsCertKey, tlsKeyKey} {
			if err := os.WriteFile(filepath.Join(dir, name), data[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return m.serving.Leaf
	}
	for range 2 {
		want := write()
		if err := f.Look(); err != nil || !f.Certificate().Leaf.Equal(want) {
			t.Error(err)
		}
	}
	if err := os.WriteFile(f.KeyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Look() == nil || f.Certificate() == nil {
		t.Error("broken files take the certificate away")
	}
}

// InCluster trusts the cluster's CA only, and follows no redirect with its token.
func TestInCluster(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the token went elsewhere") }))
	defer elsewhere.Close()
	server := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	host, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	dir := t.TempDir()
	if _, err := InCluster(host, port, dir); err == nil {
		t.Error("no CA")
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.crt", []byte("no PEM"))
	if _, err := InCluster(host, port, dir); err == nil {
		t.Error("a CA that is none")
	}
	var other material
	if _, err := other.renew("x.svc", time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ca   []byte
		want string
	}{
		{certificatePEM(server.Certificate()), "answers 307"},
		{other.bundle(), "certificate signed by unknown authority"},
	} {
		write("ca.crt", test.ca)
		write("token", []byte("t"))
		c, err := InCluster(host, port, dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.get(t.Context(), "/api"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, and not %s", err, test.want)
		}
	}
}

// Whatever is sent, there is an answer, it is small, and a patch makes a pod that
// is not changed again.
func FuzzReview(f *testing.F) {
	f.Add([]byte(reviewOf(podWith(asks))))
	f.Add([]byte(reviewOf(podWith(`"authz.dev/inject":"false"`))))
	f.Add([]byte(reviewOf(`{"metadata":{"labels":{"authz.dev/inject":"true"},"annotations":{"authz.dev/injected":"{\"handlers\":{\"app/lifecycle.preStop\":3}}"}},"spec":{"containers":[{"name":"app"}],"volumes":{}}}`)))
	f.Add([]byte(`{}`))
	i := NewInjector(platform, "authz-system", slog.New(slog.DiscardHandler), func(Outcome) {})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, PodPath, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		i.Handler().ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK {
			return
		}
		var answer review
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
			t.Fatalf("%v %s", err, w.Body)
		}
		if answer.Response.Patch == nil {
			return
		}
		asked, err := decodeReview(body)
		if err != nil {
			t.Fatal(err)
		}
		pod := patched(t, string(asked.Request.Object), answer.Response.Patch)
		again, _, err := inject.Pod(pod, platform)
		if err != nil || !same(pod, again) {
			t.Errorf("injected again: %v", err)
		}
	})
}

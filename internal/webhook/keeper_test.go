package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authz/internal/inject"
)

// world is an API server and a clock.
type world struct {
	*apiServer
	now time.Time
}

func newWorld(t *testing.T) *world {
	return &world{apiServer: newAPIServer(t), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (w *world) keeper(t *testing.T) *Keeper {
	t.Helper()
	return &Keeper{
		Cluster: w.client(t), Namespace: "authz-system", Secret: "authz-injector-tls", Service: "authz-injector", Configuration: "authz-injector",
		Every: time.Minute, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler), Failed: func() {},
	}
}

func look(t *testing.T, k *Keeper) *x509.Certificate {
	t.Helper()
	if err := k.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k.Certificate().Leaf
}

// trusts verifies a certificate as the API server would, by what the configuration
// says right now.
func (w *world) trusts(t *testing.T, c *x509.Certificate) error {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	hooks := w.objects[configurationPath]["webhooks"].([]any)
	text, _ := hooks[0].(inject.Object)["clientConfig"].(inject.Object)["caBundle"].(string)
	bundle, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	_, err = c.Verify(x509.VerifyOptions{DNSName: "authz-injector.authz-system.svc", Roots: pool, CurrentTime: w.now})
	return err
}

// The first look makes everything, and the API server trusts what is served; the
// second finds nothing to do.
func TestFirstLook(t *testing.T) {
	w := newWorld(t)
	k := w.keeper(t)
	if k.Certificate() != nil {
		t.Fatal("a certificate before the first look")
	}
	leaf := look(t, k)
	if err := w.trusts(t, leaf); err != nil {
		t.Error(err)
	}
	if got := w.written(); !slices.Equal(got, []string{secretPath, configurationPath}) {
		t.Errorf("written: %v", got)
	}
	w.now = w.now.Add(time.Hour)
	if again := look(t, k); !again.Equal(leaf) {
		t.Error("the second look made another certificate")
	}
	if got := w.written(); got != nil {
		t.Errorf("written again: %v", got)
	}

	secret, configuration := w.objects[secretPath], w.objects[configurationPath]
	if secret["metadata"].(inject.Object)["labels"].(inject.Object)["kept"] != "yes" {
		t.Error("the secret lost its labels")
	}
	hooks := configuration["webhooks"].([]any)
	if hooks[0].(inject.Object)["futureField"] == nil {
		t.Error("a field that is not known here was lost")
	}
	if hooks[1].(inject.Object)["clientConfig"].(inject.Object)["caBundle"] == nil {
		t.Error("the second webhook got no CA")
	}
	if hooks[2].(inject.Object)["clientConfig"].(inject.Object)["caBundle"] != "b3RoZXI=" {
		t.Error("somebody else's webhook was changed")
	}
}

// Two years, six hours at a time, with two replicas that look in turn: there is never
// a moment in which the API server does not trust what a replica serves, also one
// that has not looked for a while.
func TestYears(t *testing.T) {
	w := newWorld(t)
	replicas := []*Keeper{w.keeper(t), w.keeper(t)}
	cas, leaves := map[string]bool{}, map[string]bool{}
	look(t, replicas[1])
	for step := range 2 * 365 * 4 {
		look(t, replicas[step%2])
		for i, k := range replicas {
			leaf := k.Certificate().Leaf
			if err := w.trusts(t, leaf); err != nil {
				t.Fatalf("%v, replica %d: %v", w.now, i, err)
			}
			cas[leaf.Issuer.CommonName], leaves[leaf.SerialNumber.String()] = true, true
		}
		w.now = w.now.Add(6 * time.Hour)
	}
	if len(cas) != 3 || len(leaves) < 36 || len(leaves) > 40 {
		t.Errorf("%d CAs and %d certificates in two years", len(cas), len(leaves))
	}
}

// A certificate by a new CA is not served before the CA has settled, unless there is
// no other.
func TestNewCASettles(t *testing.T) {
	const name = "authz-injector.authz-system.svc"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var m material
	renew := func(after time.Duration) (changed bool) {
		t.Helper()
		now = now.Add(after)
		changed, err := m.renew(name, now)
		if err != nil {
			t.Fatal(err)
		}
		if !m.trusted(name, now) {
			t.Fatal("what is served is not trusted")
		}
		return changed
	}
	if !renew(0) || renew(time.Minute) {
		t.Fatal("made twice, or not at all")
	}
	first, serving := m.cas[0], m.serving
	m.caKey = nil // a new CA is due
	if !renew(time.Hour) || m.cas[0].Equal(first) || !m.cas[1].Equal(first) || m.serving != serving {
		t.Fatal("the new CA does not come beside the old one, with the old certificate")
	}
	if renew(settle - time.Second) {
		t.Error("the new CA is used before it has settled")
	}
	if !renew(time.Second) || m.serving.Leaf.CheckSignatureFrom(m.cas[0]) != nil {
		t.Error("the new CA is not used when it has settled")
	}
	m.caKey, m.serving = nil, nil
	if !renew(time.Hour) || m.serving.Leaf.CheckSignatureFrom(m.cas[0]) != nil || len(m.cas) != 2 {
		t.Error("without a certificate the newest CA makes one at once")
	}
}

// Whatever happens to the two objects, the next look mends it.
func TestMends(t *testing.T) {
	data := func(f func(inject.Object)) func(inject.Object) {
		return func(o inject.Object) { f(o["data"].(inject.Object)) }
	}
	tests := map[string]struct {
		path   string
		change func(inject.Object)
		stays  bool // the certificate stays as it was
	}{
		"the bundle is reset by kubectl apply": {configurationPath, func(o inject.Object) {
			for _, h := range o["webhooks"].([]any) {
				delete(h.(inject.Object)["clientConfig"].(inject.Object), "caBundle")
			}
		}, true},
		"the secret is emptied":         {secretPath, func(o inject.Object) { delete(o, "data") }, false},
		"the CA's key is lost":          {secretPath, data(func(d inject.Object) { delete(d, caKeyKey) }), true},
		"the CA's key is another's":     {secretPath, data(func(d inject.Object) { d[caKeyKey] = d[tlsKeyKey] }), true},
		"the certificate is garbage":    {secretPath, data(func(d inject.Object) { d[tlsCertKey] = "Z2FyYmFnZQ==" }), false},
		"the certificate's key too":     {secretPath, data(func(d inject.Object) { d[tlsKeyKey] = "!" }), false},
		"the CA is the certificate":     {secretPath, data(func(d inject.Object) { d[caCertKey] = d[tlsCertKey] }), false},
		"somebody adds a key of his":    {secretPath, data(func(d inject.Object) { d["note"] = "aGk=" }), true},
		"a value is no text, but 3":     {secretPath, data(func(d inject.Object) { d[tlsCertKey] = 3 }), false},
		"the data are no object at all": {secretPath, func(o inject.Object) { o["data"] = "x" }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.keeper(t)
			before := look(t, k)
			w.change(test.path, test.change)
			after := look(t, k)
			if err := w.trusts(t, after); err != nil {
				t.Error(err)
			}
			if after.Equal(before) != test.stays {
				t.Errorf("the certificate stayed: %v", after.Equal(before))
			}
			w.written()
			if look(t, k); w.written() != nil {
				t.Error("it is not mended once and for all")
			}
			// And the next certificate can be made.
			w.now = w.now.Add(servingLife * 3 / 4)
			if next := look(t, k); next.Equal(after) || w.trusts(t, next) != nil {
				t.Error("what comes next is not trusted")
			}
		})
	}
}

// Replicas that begin at the same moment end with the same certificate.
func TestReplicasAgree(t *testing.T) {
	w := newWorld(t)
	const replicas = 3
	var keepers []*Keeper
	for range replicas {
		keepers = append(keepers, w.keeper(t))
	}
	// All have read before the first writes.
	var gate sync.WaitGroup
	gate.Add(replicas)
	var once sync.Map
	w.before = func(path string) {
		if path == secretPath {
			if n, _ := once.LoadOrStore("n", new(counter)); n.(*counter).add() <= replicas {
				gate.Done()
				gate.Wait()
			}
		}
	}
	var group sync.WaitGroup
	for _, k := range keepers {
		group.Go(func() {
			if err := k.Look(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, k := range keepers {
		if !k.Certificate().Leaf.Equal(keepers[0].Certificate().Leaf) {
			t.Error("two replicas serve two certificates")
		}
	}
	writes := w.written()
	if n := len(slices.DeleteFunc(slices.Clone(writes), func(p string) bool { return p != secretPath })); n != 1 {
		t.Errorf("the secret was written %d times: %v", n, writes)
	}
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// What goes wrong is told with the way out, and what was served is served on.
func TestFailures(t *testing.T) {
	tests := map[string]struct {
		change func(*apiServer)
		want   []string
	}{
		"no secret":        {func(s *apiServer) { delete(s.objects, secretPath) }, []string{"secret authz-system/authz-injector-tls", "apply the manifests"}},
		"no configuration": {func(s *apiServer) { delete(s.objects, configurationPath) }, []string{"mutatingwebhookconfiguration authz-injector", "apply the manifests"}},
		"no right to read": {func(s *apiServer) { delete(s.rights, "GET "+secretPath) }, []string{"forbidden", "needs get and update of this one of secrets"}},
		"no right to write": {func(s *apiServer) {
			delete(s.rights, "PUT "+configurationPath)
			for _, h := range s.objects[configurationPath]["webhooks"].([]any) {
				delete(h.(inject.Object)["clientConfig"].(inject.Object), "caBundle")
			}
		}, []string{"needs get and update of this one of mutatingwebhookconfigurations"}},
		"another token":   {func(s *apiServer) { s.token = "token-2" }, []string{"answers 401"}},
		"the server away": {func(s *apiServer) { s.down = true }, []string{"answers 503: etcd is away"}},
		"no webhook of ours": {func(s *apiServer) { s.objects[configurationPath]["webhooks"] = []any{} },
			[]string{"none of its webhooks calls the service authz-system/authz-injector"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.keeper(t)
			before := look(t, k)
			w.mu.Lock()
			test.change(w.apiServer)
			w.mu.Unlock()
			err := k.Look(t.Context())
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, and not %q", err, want)
				}
			}
			if !k.Certificate().Leaf.Equal(before) {
				t.Error("what was served is no longer served")
			}
		})
	}
}

// Somebody who writes all the time is not waited for without end.
func TestConflictsWithoutEnd(t *testing.T) {
	w := newWorld(t)
	w.before = func(path string) { w.change(path, func(inject.Object) {}) }
	if err := w.keeper(t).Look(t.Context()); !errors.Is(err, errConflict) {
		t.Error(err)
	}
}

// The token is read each time, since the kubelet renews it.
func TestTokenIsReadAgain(t *testing.T) {
	w := newWorld(t)
	k := w.keeper(t)
	look(t, k)
	w.mu.Lock()
	w.token = "token-2"
	w.mu.Unlock()
	if err := os.WriteFile(k.Cluster.TokenFile, []byte("token-2"), 0o600); err != nil {
		t.Fatal(err)
	}
	look(t, k)
}

// Run looks again after a failure, without waiting for the next turn.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.down = true
	k := w.keeper(t)
	k.Every = 20 * time.Millisecond
	failed := make(chan struct{}, 1)
	k.Failed = func() {
		select {
		case failed <- struct{}{}:
		default:
		}
	}
	served := make(chan struct{})
	k.Log = slog.New(slog.NewTextHandler(writer(func(line []byte) {
		if bytes.Contains(line, []byte("serving a certificate")) {
			close(served)
		}
	}), nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	<-failed
	w.mu.Lock()
	w.down = false
	w.mu.Unlock()
	<-served
	cancel()
	<-done
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// What is in the secret is what kubectl and other programs can read.
func TestSecretIsOrdinary(t *testing.T) {
	w := newWorld(t)
	k := w.keeper(t)
	leaf := look(t, k)
	data := map[string][]byte{}
	text, _ := json.Marshal(w.objects[secretPath]["data"])
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
	if err != nil || !pair.Leaf.Equal(leaf) {
		t.Errorf("%v", err)
	}
	if len(data["ca.crt"]) == 0 || len(data["ca.key"]) == 0 {
		t.Error("no CA")
	}
}

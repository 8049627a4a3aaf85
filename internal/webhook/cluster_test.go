package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"authz/internal/inject"
)

// apiServer is as much of an API server as the keeper sees: objects with a
// resourceVersion that grows with every write, conflicts, rights by verb and name,
// Status objects for errors.
type apiServer struct {
	*httptest.Server
	token string

	mu      sync.Mutex
	objects map[string]inject.Object // by path
	rights  map[string]bool          // "GET path"
	version int
	writes  []string
	// before is called, without the lock, before a write is judged.
	before func(path string)
	down   bool
}

const (
	secretPath        = "/api/v1/namespaces/authz-system/secrets/authz-injector-tls"
	configurationPath = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/authz-injector"
)

// newAPIServer holds the two objects as the manifests have them, with the rights that
// they give.
func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{token: "token-1", objects: map[string]inject.Object{}, rights: map[string]bool{}}
	s.create(secretPath, `{"apiVersion":"v1","kind":"Secret","type":"Opaque","metadata":{"name":"authz-injector-tls","labels":{"kept":"yes"}}}`)
	s.create(configurationPath, `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"authz-injector"},
		"webhooks":[{"name":"pod.authz.dev","futureField":1,"clientConfig":{"service":{"name":"authz-injector","namespace":"authz-system","path":"/inject"}}},
		{"name":"namespace.authz.dev","clientConfig":{"service":{"name":"authz-injector","namespace":"authz-system"}}},
		{"name":"other.example","clientConfig":{"service":{"name":"other","namespace":"authz-system"},"caBundle":"b3RoZXI="}}]}`)
	for _, path := range []string{secretPath, configurationPath} {
		s.rights["GET "+path], s.rights["PUT "+path] = true, true
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *apiServer) create(path, text string) {
	var o inject.Object
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	s.store(path, o)
}

func (s *apiServer) store(path string, o inject.Object) {
	s.version++
	o["metadata"].(inject.Object)["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[path] = o
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method == http.MethodPut {
		s.mu.Lock()
		before := s.before
		s.mu.Unlock()
		if before != nil {
			before(r.URL.Path)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, found := s.objects[r.URL.Path]
	switch {
	case s.down:
		status(w, 503, "etcd is away")
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		status(w, 401, "Unauthorized")
	case !s.rights[r.Method+" "+r.URL.Path]:
		status(w, 403, fmt.Sprintf("cannot %s %s", r.Method, r.URL.Path))
	case !found:
		status(w, 404, r.URL.Path+" not found")
	case r.Method == http.MethodPut:
		var update inject.Object
		if err := json.Unmarshal(body, &update); err != nil {
			status(w, 400, err.Error())
			return
		}
		read := update["metadata"].(inject.Object)["resourceVersion"]
		if read != o["metadata"].(inject.Object)["resourceVersion"] {
			status(w, 409, "the object has been modified; please apply your changes to the latest version and try again")
			return
		}
		s.store(r.URL.Path, update)
		s.writes = append(s.writes, r.URL.Path)
		_ = json.NewEncoder(w).Encode(update)
	default:
		_ = json.NewEncoder(w).Encode(o)
	}
}

func status(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message})
}

// change edits an object as somebody else would.
func (s *apiServer) change(path string, f func(inject.Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.objects[path])
	s.store(path, s.objects[path])
}

func (s *apiServer) written() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.writes
	s.writes = nil
	return list
}

// client is a Cluster with the service account's files.
func (s *apiServer) client(t *testing.T) *Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(s.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Cluster{URL: s.URL, TokenFile: file, HTTP: s.Client()}
}

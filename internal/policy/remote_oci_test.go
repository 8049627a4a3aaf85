package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// registry is an OCI registry with one repository, as far as a client that pulls sees one.
type registry struct {
	*httptest.Server
	mu    sync.Mutex
	blobs map[string][]byte // and manifests, by digest
	main  string            // the digest of the tag
}

func newRegistry(t *testing.T) *registry {
	r := &registry{blobs: map[string][]byte{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		name := q.URL.Path[strings.LastIndex(q.URL.Path, "/")+1:]
		if name == "main" {
			name = r.main
		}
		content, found := r.blobs[name]
		if !found {
			http.NotFound(w, q)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if strings.Contains(q.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		}
		w.Header().Set("Docker-Content-Digest", name)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if q.Method == http.MethodGet {
			_, _ = w.Write(content)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *registry) put(content []byte, kind string) map[string]any {
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	r.blobs[digest] = content
	return map[string]any{"mediaType": kind, "digest": digest, "size": len(content)}
}

// push is what `oras push` of a bundle leaves there.
func (r *registry) push(t *testing.T, bundle []byte) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": r.put([]byte("{}"), "application/vnd.oci.image.config.v1+json"),
		"layers": []any{r.put(bundle, "application/vnd.oci.image.layer.v1.tar+gzip")},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.main = r.put(manifest, "")["digest"].(string)
}

// Bundles come out of a registry too, and what they replace does not fill the disk.
func TestFetchOCI(t *testing.T) {
	registry, dir := newRegistry(t), t.TempDir()
	host := strings.TrimPrefix(registry.URL, "http://")
	tree{"opa.yaml": fmt.Sprintf(`
services: { registry: { url: %q, type: oci } }
bundles: { shop: { service: registry, resource: "%s/shop:main", polling: { min_delay_seconds: 1, max_delay_seconds: 1 } } }
`, registry.URL, host)}.write(t, dir)
	kept := filepath.Join(dir, "kept")
	engine, err := New(Config{Bundles: Bundles{Config: filepath.Join(dir, "opa.yaml"), Dir: kept}}, newLog())
	if err != nil {
		t.Fatal(err)
	}
	registry.push(t, packed(t, "r1", ""))
	start(t, engine.Fetch)
	start(t, engine.Watch)
	for i := 1; i <= 4; i++ {
		revision := fmt.Sprintf("r%d", i)
		registry.push(t, packed(t, revision, ""))
		await(t, revision+" ("+fmt.Sprint(engine.Status().Unfetched)+")", func() bool { return engine.Status().Revision == revision })
	}
	// Of each a manifest and a layer, and the configuration that all share.
	blobs, err := os.ReadDir(filepath.Join(kept, "shop.tar.gz.oci", "blobs", "sha256"))
	if err != nil || len(blobs) > 5 {
		t.Errorf("%d blobs are left (%v)", len(blobs), err)
	}
}

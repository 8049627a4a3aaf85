package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// largest is what a node has to hold and fetch at most.
const largest = 40 << 20

// A release of this source, and of a copy of it elsewhere, without its repository:
// the same program, bill of materials and image, byte for byte. What is in them:
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program twice")
	}
	t.Chdir("..")
	here, elsewhere := t.TempDir(), t.TempDir()
	build(t, ".", here)
	build(t, checkout(t), elsewhere)
	one, two := read(t, here, "SHA256SUMS"), read(t, elsewhere, "SHA256SUMS")
	if !bytes.Equal(one, two) {
		t.Errorf("two builds in two folders differ:\n%s\n%s", one, two)
	}
	t.Run("bill of materials", func(t *testing.T) { billOfMaterials(t, here) })
	t.Run("image", func(t *testing.T) { image(t, here) })
}

func build(t *testing.T, source, output string) {
	t.Helper()
	var log bytes.Buffer
	o := options{
		dir: source, output: output, version: "1.2.3", revision: "abc", name: "localhost/authz:1.2.3", bom: true,
		created: time.Unix(1_700_000_000, 0), platforms: []string{"amd64"}, log: &log,
	}
	if err := o.build(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &log)
}

// checkout copies the files that git knows.
func checkout(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	list, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.go", "*.mod", "*.sum", "*.rego", "*.json", "*.yaml", "*.yml", "*.md", "*.tmpl", "cmd", "internal", "policies", "schemas").Output()
	if err != nil {
		t.Skipf("git lists no files here: %v", err)
	}
	for _, name := range strings.Split(strings.TrimRight(string(list), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every module that is in the program is in its bill of materials.
func billOfMaterials(t *testing.T, dir string) {
	var bom struct {
		Components []struct{ Name, Version string } `json:"components"`
	}
	if err := json.Unmarshal(read(t, dir, "authz-linux-amd64.cdx.json"), &bom); err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for _, c := range bom.Components {
		named[c.Name] = c.Version
	}
	info, err := buildinfo.ReadFile(filepath.Join(dir, "authz-linux-amd64"))
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 {
		t.Fatal("the program names no modules")
	}
	for _, m := range info.Deps {
		if named[m.Path] != m.Version {
			t.Errorf("%s %s is in the program, and the bill says %q", m.Path, m.Version, named[m.Path])
		}
	}
	if named["std"] == "" {
		t.Error("Go's own library is not in the bill")
	}
}

func image(t *testing.T, dir string) {
	blobs := map[string][]byte{}
	for name, data := range untar(t, bytes.NewReader(read(t, dir, "authz-image.tar"))) {
		blobs[name] = data
	}
	blob := func(digest string) []byte { return blobs["blobs/sha256/"+strings.TrimPrefix(digest, "sha256:")] }
	type reference struct{ Digest string }
	var index struct{ Manifests []reference }
	unmarshal(t, blobs["index.json"], &index)
	unmarshal(t, blob(index.Manifests[0].Digest), &index)
	var manifest struct {
		Config reference
		Layers []reference
	}
	unmarshal(t, blob(index.Manifests[0].Digest), &manifest)
	var config struct {
		Created string
		Config  struct {
			User            string
			Entrypoint, Cmd []string
			Labels          map[string]string
		}
	}
	unmarshal(t, blob(manifest.Config.Digest), &config)
	if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/authz"}) || !slices.Equal(c.Cmd, []string{"run"}) {
		t.Errorf("starts as %+v", c)
	}
	if config.Created != "2023-11-14T22:13:20Z" || config.Config.Labels["org.opencontainers.image.version"] != "1.2.3" {
		t.Errorf("created %q, labels %v", config.Created, config.Config.Labels)
	}
	plain, err := gzip.NewReader(bytes.NewReader(blob(manifest.Layers[0].Digest)))
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, plain)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"authz", "run/", "run/authz/"}; !slices.Equal(names, want) {
		t.Errorf("files %v, want %v and nothing else", names, want)
	}
	if size := len(files["authz"]); size > largest {
		t.Errorf("the program has %.1f MiB, more than %d", float64(size)/(1<<20), largest>>20)
	}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = data
	}
}

func unmarshal(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// The Dockerfile builds the same program, and an image that starts the same way.
func TestDockerfileAgrees(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	o := options{version: "$VERSION", revision: "$REVISION", source: "$SOURCE"}
	want := []string{
		"CGO_ENABLED=0", "GOAMD64=v1", `-trimpath -buildvcs=false -tags grpcnotrace -ldflags "-s -w -X main.version=$VERSION"`, "FROM scratch",
		"USER 65532:65532", "--chown=65532:65532 /out/run/authz /run/authz", `ENTRYPOINT ["/authz"]`, `CMD ["run"]`,
	}
	for name, value := range o.labels() {
		if name != "org.opencontainers.image.created" { // buildx has its own way: SOURCE_DATE_EPOCH
			want = append(want, name+`="`+value+`"`)
		}
	}
	for _, line := range want {
		if !strings.Contains(string(dockerfile), line) {
			t.Errorf("the Dockerfile lacks %s", line)
		}
	}
}

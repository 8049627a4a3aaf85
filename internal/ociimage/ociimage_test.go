package ociimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func example() Image {
	return Image{
		Name: "localhost:5000/tool:1.2", User: "65532:65532", Entrypoint: []string{"/tool"},
		Labels:  map[string]string{"org.opencontainers.image.version": "1.2"},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Platforms: []Platform{{Architecture: "amd64", Files: []File{
			{Path: "/usr/bin/tool", Data: []byte("a program")},
			{Path: "/run/tool", Dir: true, Mode: 0o750, Owner: 65532},
			{Path: "/etc/tool.yaml", Mode: 0o644, Data: []byte("a: b")},
		}}},
	}
}

func write(t *testing.T, image Image) ([]byte, Written) {
	t.Helper()
	var out bytes.Buffer
	written, err := Write(&out, image)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), written
}

// entries reads a tar: names in order, and what is in each.
func entries(t *testing.T, r io.Reader) (headers []*tar.Header, content map[string][]byte) {
	t.Helper()
	content = map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return headers, content
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		headers, content[h.Name] = append(headers, h), data
	}
}

// Whoever follows the descriptors from index.json finds every blob under its digest,
// and at the end the files.
func TestALayoutIsWhole(t *testing.T) {
	out, written := write(t, example())
	_, content := entries(t, bytes.NewReader(out))
	follow := func(d descriptor, into any) []byte {
		t.Helper()
		data := content["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		if digest(data) != d.Digest || int64(len(data)) != d.Size {
			t.Fatalf("%s %s is not what the descriptor says", d.MediaType, d.Digest)
		}
		if into != nil {
			if err := json.Unmarshal(data, into); err != nil {
				t.Fatal(err)
			}
		}
		return data
	}
	var outer, index struct {
		Manifests []descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(content["index.json"], &outer); err != nil {
		t.Fatal(err)
	}
	if got := outer.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; got != "1.2" {
		t.Errorf("reference name %q, want the tag 1.2", got)
	}
	if outer.Manifests[0].Digest != written.Digest {
		t.Errorf("Write says %s, the layout %s", written.Digest, outer.Manifests[0].Digest)
	}
	follow(outer.Manifests[0], &index)
	var manifest struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	follow(index.Manifests[0], &manifest)
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
		} `json:"config"`
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	follow(manifest.Config, &config)
	if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/tool"}) {
		t.Errorf("config: %+v", config.Config)
	}
	zipped, err := gzip.NewReader(bytes.NewReader(follow(manifest.Layers[0], nil)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	if digest(plain) != config.Rootfs.DiffIDs[0] {
		t.Error("the diff id is not the digest of the unpacked layer")
	}
	headers, files := entries(t, bytes.NewReader(plain))
	var names []string
	for _, h := range headers {
		names = append(names, h.Name)
	}
	want := []string{"etc/", "etc/tool.yaml", "run/", "run/tool/", "usr/", "usr/bin/", "usr/bin/tool"}
	if !slices.Equal(names, want) {
		t.Errorf("files %v, want %v", names, want)
	}
	if string(files["usr/bin/tool"]) != "a program" || headers[3].Uid != 65532 || headers[3].Mode != 0o750 {
		t.Errorf("files are not as they were given: %+v", headers[3])
	}
}

func TestTheSameFilesMakeTheSameBytes(t *testing.T) {
	first, one := write(t, example())
	again := example()
	slices.Reverse(again.Platforms[0].Files)
	second, two := write(t, again)
	if !bytes.Equal(first, second) || one.Digest != two.Digest {
		t.Errorf("two images of the same files differ: %s, %s", one.Digest, two.Digest)
	}
	again.Platforms[0].Files[0].Data = append(again.Platforms[0].Files[0].Data, ' ')
	if _, three := write(t, again); three.Digest == one.Digest {
		t.Error("another file, and still the same digest")
	}
}

func TestTag(t *testing.T) {
	for name, want := range map[string]string{
		"authz":                     "latest",
		"authz:1":                   "1",
		"localhost:5000/authz":      "latest",
		"localhost:5000/team/a:2.0": "2.0",
	} {
		if got := tag(name); got != want {
			t.Errorf("tag(%q) = %q, want %q", name, got, want)
		}
	}
}

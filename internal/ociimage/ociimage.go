// Package ociimage writes container images without a container engine: an OCI image
// layout (https://github.com/opencontainers/image-spec) in a tar file, as `docker
// load`, `ctr images import`, `skopeo` and `crane` read it.
//
// The same files and the same time make the same bytes, so that an image's digest
// can be checked by whoever builds it again: entries are sorted, they all carry the
// one time of the image, and nothing of the machine (names, owners, clocks) gets in.
package ociimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one file or directory of an image.
type File struct {
	Path  string // absolute; the directories above it are made
	Mode  int64  // permissions; 0 means 0755
	Owner int    // user and group id
	Dir   bool
	Data  []byte
}

// Image says what is in an image and how it starts.
type Image struct {
	Platforms []Platform
	Name      string // such as registry.example/authz:1.2.3; its tag is the reference name
	User      string // uid:gid
	// Entrypoint is the program and Command what it is told unless somebody says otherwise.
	Entrypoint, Command []string
	Env                 []string
	Labels              map[string]string // repeated as annotations, which registries show
	Created             time.Time
	// Plain leaves the layers as they are: for images that stay on this machine.
	Plain bool
}

// Platform is the image of one architecture.
type Platform struct {
	Architecture string // as Go names it: amd64, arm64
	Files        []File
}

// Written is what a layout holds: the digest by which a registry knows the image, and
// its size.
type Written struct {
	Digest   string
	Layers   []Layer
	Packed   int64 // what a pull of the largest platform transfers
	Unpacked int64 // what that platform takes on a node
}

// Layer is the only layer of one platform.
type Layer struct {
	Architecture, Digest string
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// Write writes the layout of an image as a tar.
func Write(w io.Writer, image Image) (Written, error) {
	l := layout{tar: tar.NewWriter(w), created: image.Created.UTC()}
	var written Written
	var manifests []descriptor
	for _, p := range image.Platforms {
		manifest, err := l.platform(image, p, &written)
		if err != nil {
			return Written{}, fmt.Errorf("image for %s: %w", p.Architecture, err)
		}
		manifests = append(manifests, manifest)
	}
	index := l.document(indexType, map[string]any{
		"schemaVersion": 2, "mediaType": indexType, "manifests": manifests, "annotations": image.Labels,
	})
	index.Annotations = map[string]string{"io.containerd.image.name": image.Name, "org.opencontainers.image.ref.name": tag(image.Name)}
	l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	l.file("index.json", marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []descriptor{index}}))
	if l.err == nil {
		l.err = l.tar.Close()
	}
	if l.err != nil {
		return Written{}, fmt.Errorf("write the image: %w", l.err)
	}
	written.Digest = index.Digest
	return written, nil
}

// layout writes the entries of the outer tar; it remembers the first error.
type layout struct {
	tar     *tar.Writer
	created time.Time
	blobs   []string
	err     error
}

func (l *layout) platform(image Image, p Platform, written *Written) (descriptor, error) {
	plain, err := layer(p.Files, l.created)
	if err != nil {
		return descriptor{}, err
	}
	mediaType, packed := layerType, plain
	if !image.Plain {
		mediaType += "+gzip"
		if packed, err = compress(plain); err != nil {
			return descriptor{}, err
		}
	}
	layerDescriptor := l.blob(mediaType, packed)
	config := l.document(configType, map[string]any{
		"created": l.created.Format(time.RFC3339), "architecture": p.Architecture, "os": "linux",
		"config": map[string]any{
			"User": image.User, "Entrypoint": image.Entrypoint, "Cmd": image.Command, "Env": image.Env,
			"Labels": image.Labels, "WorkingDir": "/",
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digest(plain)}},
		"history": []map[string]any{{"created": l.created.Format(time.RFC3339), "comment": "one layer, from files"}},
	})
	manifest := l.document(manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": config,
		"layers": []descriptor{layerDescriptor}, "annotations": image.Labels,
	})
	manifest.Platform = &platform{Architecture: p.Architecture, OS: "linux"}
	written.Layers = append(written.Layers, Layer{p.Architecture, layerDescriptor.Digest})
	written.Packed = max(written.Packed, layerDescriptor.Size+config.Size+manifest.Size)
	written.Unpacked = max(written.Unpacked, int64(len(plain)))
	return manifest, nil
}

func (l *layout) document(mediaType string, v any) descriptor { return l.blob(mediaType, marshal(v)) }

func (l *layout) blob(mediaType string, data []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digest(data), Size: int64(len(data))}
	if !slices.Contains(l.blobs, d.Digest) { // two platforms of the same files
		l.blobs = append(l.blobs, d.Digest)
		l.file("blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:"), data)
	}
	return d
}

func (l *layout) file(name string, data []byte) {
	if l.err == nil {
		l.err = entry(l.tar, &tar.Header{Name: name, Mode: 0o644, ModTime: l.created}, data)
	}
}

// layer is the file system as a tar: every directory before what is in it.
func layer(files []File, created time.Time) ([]byte, error) {
	all := map[string]File{}
	for _, f := range files {
		f.Path = strings.TrimPrefix(path.Clean(f.Path), "/")
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			if _, there := all[dir]; !there {
				all[dir] = File{Path: dir, Dir: true}
			}
		}
		all[f.Path] = f
	}
	sorted := make([]string, 0, len(all))
	for name := range all {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range sorted {
		f := all[name]
		header := &tar.Header{Name: name, Mode: f.Mode, Uid: f.Owner, Gid: f.Owner, ModTime: created}
		if header.Mode == 0 {
			header.Mode = 0o755
		}
		if f.Dir {
			header.Typeflag, header.Name = tar.TypeDir, name+"/"
		}
		if err := entry(w, header, f.Data); err != nil {
			return nil, fmt.Errorf("add %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end the layer: %w", err)
	}
	return out.Bytes(), nil
}

func entry(w *tar.Writer, header *tar.Header, data []byte) error {
	if header.Typeflag == 0 {
		header.Typeflag = tar.TypeReg
	}
	header.Size = int64(len(data))
	header.ModTime = header.ModTime.Truncate(time.Second)
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// compress leaves the gzip header empty: no name, no time, no system.
func compress(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w.OS = 255
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// marshal can't fail: it is given maps, strings and numbers, and sorts the keys.
func marshal(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// tag is what stands behind the last colon, unless that is a port.
func tag(name string) string {
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		return name[at+1:]
	}
	return "latest"
}

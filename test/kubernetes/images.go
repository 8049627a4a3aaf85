package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"authz/internal/ociimage"
	"authz/internal/testbed"
)

// The images that are in the cluster. The sidecar's is the one that is released.
const (
	sidecarImage = "localhost/authz:test"
	envoyImage   = "localhost/envoy:test"
	appImage     = "localhost/app:test"
	pauseImage   = "localhost/pause:test"
)

// makeImages writes the images of everything but the sidecar.
func makeImages(ctx context.Context, work string) ([]string, error) {
	app := filepath.Join(work, "app")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", app, "./test/kubernetes/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the app: %w: %s", err, out)
	}
	program, err := os.ReadFile(app)
	if err != nil {
		return nil, err
	}
	envoy, err := envoyFiles(ctx)
	if err != nil {
		return nil, err
	}
	var made []string
	for _, image := range []ociimage.Image{
		{Name: appImage, Entrypoint: []string{"/app"}, Platforms: files(ociimage.File{Path: "/app", Data: program})},
		{Name: pauseImage, Entrypoint: []string{"/app", "pause"}, Platforms: files(ociimage.File{Path: "/app", Data: program})},
		{Name: envoyImage, Entrypoint: []string{"envoy"}, Platforms: files(envoy...)},
	} {
		image.User, image.Env, image.Plain = "65532:65532", []string{"PATH=/usr/local/bin"}, true
		image.Created = time.Unix(0, 0)
		name := filepath.Join(work, strings.NewReplacer("/", "-", ":", "-").Replace(image.Name)+".tar")
		out, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := ociimage.Write(out, image); err != nil {
			return nil, err
		}
		if err := out.Close(); err != nil {
			return nil, err
		}
		made = append(made, name)
	}
	return made, nil
}

func files(list ...ociimage.File) []ociimage.Platform {
	return []ociimage.Platform{{Architecture: runtime.GOARCH, Files: list}}
}

// envoyFiles are Envoy as the other tests run it, and the libraries that it names.
func envoyFiles(ctx context.Context) ([]ociimage.File, error) {
	binary, err := testbed.EnvoyBinary()
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "ldd", binary).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", binary, err)
	}
	paths := map[string]string{"/usr/local/bin/envoy": binary}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		for _, field := range strings.Fields(lines.Text()) {
			if strings.HasPrefix(field, "/") {
				paths[field] = field
				break
			}
		}
	}
	var list []ociimage.File
	for inside, outside := range paths {
		data, err := os.ReadFile(outside)
		if err != nil {
			return nil, err
		}
		list = append(list, ociimage.File{Path: inside, Data: data})
	}
	return list, nil
}

// withImages puts the images of this run in the place of the released ones, in the
// containers and in the injector's arguments.
func withImages(objects string) (string, error) {
	if !strings.Contains(objects, "image: ") {
		return "", errors.New("no image in the manifests")
	}
	objects = imageField.ReplaceAllString(objects, "${1}"+sidecarImage)
	objects = imageFlag.ReplaceAllString(objects, "--image="+sidecarImage)
	return envoyFlag.ReplaceAllString(objects, "--envoy-image="+envoyImage), nil
}

var (
	imageField = regexp.MustCompile(`(?m)^(\s*(?:- )?image: ).*$`)
	imageFlag  = regexp.MustCompile(`--image=[^\s"']+`)
	envoyFlag  = regexp.MustCompile(`--envoy-image=[^\s"']+`)
)

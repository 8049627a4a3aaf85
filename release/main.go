// Release builds what a release ships, without a container engine and so that
// anybody who builds the same commit gets the same bytes:
//
//	authz-linux-amd64           the program, static
//	authz-linux-amd64.cdx.json  what it is made of (CycloneDX)
//	authz-image.tar             the image, an OCI layout with every architecture
//	SHA256SUMS                  of all of them
//
//	go run ./release -o .cache/release -platforms amd64,arm64
//
// The Dockerfile makes an image of the same program where there is a container engine.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"authz/internal/ociimage"
)

// user is nobody in particular, as in the distroless images: pods name it in
// runAsUser, and the kubelet believes a number.
const user = 65532

type options struct {
	dir       string // of the source
	output    string
	version   string
	revision  string
	name      string
	source    string
	created   time.Time
	platforms []string
	bom       bool
	log       io.Writer
}

func main() {
	o := options{dir: ".", log: os.Stdout}
	platforms := ""
	flag.StringVar(&o.output, "o", ".cache/release", "directory to write into")
	flag.StringVar(&o.version, "version", "", "version (default: what git describe says)")
	flag.StringVar(&o.name, "name", "", "name of the image (default: localhost/authz:VERSION)")
	flag.StringVar(&o.source, "source", "", "where the source is, for the image's label")
	flag.StringVar(&platforms, "platforms", "amd64", "architectures, separated by commas")
	flag.BoolVar(&o.bom, "sbom", true, "write the bill of materials of each program")
	flag.Parse()
	o.platforms = strings.Split(platforms, ",")
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (o *options) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.defaults(ctx); err != nil {
		return err
	}
	return o.build(ctx)
}

// defaults asks git what was not said. The time of the image is SOURCE_DATE_EPOCH,
// else that of the commit: never the clock, which no two builds share.
func (o *options) defaults(ctx context.Context) error {
	if o.version == "" {
		o.version = git(ctx, "describe", "--tags", "--always", "--dirty")
	}
	if o.version == "" {
		o.version = "dev"
	}
	o.revision = git(ctx, "rev-parse", "HEAD")
	if o.name == "" {
		o.name = "localhost/authz:" + strings.TrimPrefix(o.version, "v")
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		seconds = git(ctx, "log", "-1", "--format=%ct")
	}
	if seconds == "" {
		return fmt.Errorf("not a git repository: say when the source was made, in SOURCE_DATE_EPOCH")
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: want seconds since 1970: %w", err)
	}
	o.created = time.Unix(n, 0).UTC()
	return nil
}

func git(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", args...).Output() //nolint:gosec // the arguments stand above
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (o *options) build(ctx context.Context) error {
	if err := os.MkdirAll(o.output, 0o755); err != nil { //nolint:gosec // what is released may be read
		return fmt.Errorf("make the directory: %w", err)
	}
	image := ociimage.Image{
		Name: o.name, User: fmt.Sprintf("%d:%d", user, user), Entrypoint: []string{"/authz"}, Command: []string{"run"},
		Created: o.created, Labels: o.labels(),
	}
	var made []string
	for _, arch := range o.platforms {
		program := filepath.Join(o.output, "authz-linux-"+arch)
		made = append(made, program)
		if err := o.compile(ctx, arch, program); err != nil {
			return err
		}
		data, err := os.ReadFile(program)
		if err != nil {
			return fmt.Errorf("read the program: %w", err)
		}
		o.say("%s  %.1f MB  sha256:%s", program, megabytes(int64(len(data))), sum(data))
		if o.bom {
			made = append(made, program+".cdx.json")
			if err := o.materials(ctx, program); err != nil {
				return err
			}
		}
		image.Platforms = append(image.Platforms, ociimage.Platform{Architecture: arch, Files: []ociimage.File{
			{Path: "/authz", Data: data},
			// For a socket where nothing is mounted; a pod mounts an emptyDir here.
			{Path: "/run/authz", Dir: true, Mode: 0o750, Owner: user},
		}})
	}
	tarball := filepath.Join(o.output, "authz-image.tar")
	if err := o.image(tarball, image); err != nil {
		return err
	}
	return sums(filepath.Join(o.output, "SHA256SUMS"), append(made, tarball))
}

// labels are the names that registries and scanners know.
func (o *options) labels() map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "authz",
		"org.opencontainers.image.description": "External authorization for Envoy: JWTs, Rego policies, quotas",
		"org.opencontainers.image.version":     o.version,
		"org.opencontainers.image.revision":    o.revision,
		"org.opencontainers.image.created":     o.created.Format(time.RFC3339),
		"org.opencontainers.image.source":      o.source,
	}
	for name, value := range labels {
		if value == "" {
			delete(labels, name)
		}
	}
	return labels
}

// compile leaves out what differs from one machine to the next: its paths (-trimpath)
// and the state of its repository (-buildvcs), and what nobody calls (the Makefile says
// how grpcnotrace does it). The Dockerfile says the same.
func (o *options) compile(ctx context.Context, arch, program string) error {
	absolute, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace", //nolint:gosec // the arguments are the caller's own
		"-ldflags", "-s -w -X main.version="+o.version, "-o", absolute, "./cmd/authz")
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOAMD64=v1")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build for %s: %w", arch, err)
	}
	return nil
}

// materials reads from the program which modules are in it.
func (o *options) materials(ctx context.Context, program string) error {
	file := program + ".cdx.json"
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/sbom.mod", "cyclonedx-gomod", "bin", //nolint:gosec // as above
		"-json", "-std", "-noserial", "-notimestamp", "-version", o.version, "-output", file, program)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bill of materials: %w: %s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	var bom struct {
		Components []json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(data, &bom); err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	o.say("%s  %d components", file, len(bom.Components))
	return nil
}

func (o *options) image(file string, image ociimage.Image) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	written, err := ociimage.Write(out, image)
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	o.say("%s  %s  %.1f MB to pull, %.1f MB on a node", file, image.Name, megabytes(written.Packed), megabytes(written.Unpacked))
	o.say("  user %s  %s", image.User, written.Digest)
	for _, f := range image.Platforms[0].Files {
		o.say("  %s", f.Path)
	}
	return nil
}

func (o *options) say(format string, args ...any) { fmt.Fprintf(o.log, format+"\n", args...) }

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// sums writes what `sha256sum -c` checks.
func sums(file string, made []string) error {
	var out strings.Builder
	for _, name := range made {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s  %s\n", sum(data), filepath.Base(name))
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

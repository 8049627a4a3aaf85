package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// SidecarOptions say which sidecar to run.
type SidecarOptions struct {
	// Config is the YAML of `authz run`. The door's socket and the side door's port
	// are given by flags, unless KeepAddresses is set.
	Config        string
	KeepAddresses bool
	Socket        string   // where to listen; "" means a fresh path
	Args          []string // further flags
	Env           []string // NAME=value, added to the environment
	Dir           string   // working directory; "" means the module's root
	// Unready returns as soon as the sidecar listens, even if it is not ready (an
	// issuer without keys).
	Unready bool
	Log     io.Writer // also gets what the sidecar prints, if not nil
}

// Sidecar is a running authz.
type Sidecar struct {
	*Process
	Socket string // path of the door's Unix socket
	Ops    string // http:// address of /livez, /readyz and /metrics

	dir string
}

// StartSidecar builds cmd/authz (once), runs it and returns when it is ready.
func StartSidecar(ctx context.Context, o SidecarOptions) (*Sidecar, error) {
	binary, err := SidecarBinary()
	if err != nil {
		return nil, err
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "authz-sidecar-")
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	s := &Sidecar{Socket: o.Socket, dir: dir}
	if s.Socket == "" {
		s.Socket = filepath.Join(dir, "authz.sock")
	}
	config := filepath.Join(dir, "authz.yaml")
	if err := os.WriteFile(config, []byte(o.Config), 0o600); err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	args := []string{"run", "--config", config}
	if !o.KeepAddresses {
		args = append(args, "--listen.socket", s.Socket, "--ops.address", "127.0.0.1:0")
	}
	cmd := exec.Command(binary, append(args, o.Args...)...)
	cmd.Env = append(os.Environ(), o.Env...)
	if cmd.Dir = o.Dir; cmd.Dir == "" {
		cmd.Dir = root
	}
	if s.Process, err = Start("authz", cmd, o.Log); err != nil {
		return nil, err
	}
	if err := s.await(ctx, o); err != nil {
		err = s.fail(err)
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// upLine is what the sidecar logs, as JSON or as text, when all its doors are open.
var (
	upLine = regexp.MustCompile(`"?msg"?[=:]"authz is up"`)
	upOps  = regexp.MustCompile(`"?ops"?[=:]"?([^"\s]+)"?`)
)

func (s *Sidecar) await(ctx context.Context, o SidecarOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	line, err := s.Log().Wait(ctx, upLine.MatchString)
	if err != nil {
		return err
	}
	ops := upOps.FindStringSubmatch(line)
	if ops == nil {
		return errors.New("no ops address in: " + line)
	}
	s.Ops = "http://" + ops[1]
	if o.Unready {
		return nil
	}
	return poll(ctx, s.Done(), func() error { _, err := get(ctx, s.Ops+"/readyz"); return err })
}

// Metric reads one sample of /metrics by its full name with labels as printed, such
// as `authz_decisions_total{outcome="allowed"}`. One that is not there is 0.
func (s *Sidecar) Metric(ctx context.Context, sample string) (float64, error) {
	page, err := get(ctx, s.Ops+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			var f float64
			_, err := fmt.Sscan(value, &f)
			return f, err
		}
	}
	return 0, nil
}

// Get reads a page of the side door, such as /readyz; a status other than 200 is an
// error that holds the body.
func (s *Sidecar) Get(ctx context.Context, path string) (string, error) { return get(ctx, s.Ops+path) }

// Stop sends SIGTERM, waits, and removes the sidecar's files.
func (s *Sidecar) Stop() error { return errors.Join(s.Process.Stop(), os.RemoveAll(s.dir)) }

// SidecarBinary is a built cmd/authz, with the race detector if this program has it.
var SidecarBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("TESTBED_SIDECAR"); path != "" {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".cache", "bin", "authz"+raceFlag)
	args := []string{"build"}
	if raceFlag != "" {
		args = append(args, raceFlag)
	}
	// Built beside and renamed: several test programs may build at once.
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", append(args, "-o", fresh, "./cmd/authz")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("testbed: building the sidecar: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, path); err != nil {
		return "", fmt.Errorf("testbed: %w", err)
	}
	return path, nil
})

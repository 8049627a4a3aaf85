package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/download"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	bundles "github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// Bundles says which bundles are fetched from servers. OPA's own downloader does
// it: HTTP with entity tags and long polling, S3 and its kin, OCI registries,
// signatures. What it brings is put into a file, and a file is all that the rest
// of this package knows: it survives restarts and is watched like any other.
type Bundles struct {
	// Config is a configuration file of OPA, of which services, keys and bundles
	// are read.
	Config string
	// Dir is where the bundles are kept.
	Dir string
}

// remote is one bundle of the configuration.
type remote struct {
	name, path string
	source     *bundles.Source
}

// ErrNotFetched of Load: there is no policy yet, because the first fetch of a bundle
// has not come to an end. Fetch and Watch see to it.
var ErrNotFetched = errors.New("it was not fetched yet")

// open reads the configuration. The manager knows the services; stop it.
func (b Bundles) open() (*plugins.Manager, []remote, error) {
	raw, err := os.ReadFile(b.Config)
	if err != nil {
		return nil, nil, err
	}
	m, err := plugins.New(raw, "authz", inmem.New(), plugins.Logger(logging.NewNoOpLogger()), plugins.ConsoleLogger(logging.NewNoOpLogger()))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", b.Config, err)
	}
	list, err := b.list(m)
	if err != nil {
		m.Stop(context.Background())
		return nil, nil, fmt.Errorf("%s: %w", b.Config, err)
	}
	return m, list, nil
}

func (b Bundles) list(m *plugins.Manager) ([]remote, error) {
	trigger := plugins.TriggerPeriodic
	c, err := bundles.NewConfigBuilder().WithBytes(m.Config.Bundles).WithServices(m.Services()).
		WithKeyConfigs(m.PublicKeys()).WithTriggerMode(&trigger).Parse()
	if err != nil {
		return nil, err
	}
	if c == nil || len(c.Bundles) == 0 {
		return nil, errors.New("it names no bundles")
	}
	var list []remote
	for _, name := range slices.Sorted(maps.Keys(c.Bundles)) {
		source := c.Bundles[name]
		if strings.HasPrefix(source.Resource, "file://") {
			return nil, fmt.Errorf("bundle %s: it is a file here: name it in the policy paths", name)
		}
		// OPA lets a bundle without a signature pass where there are keys but no
		// block `signing`. Whoever gave a key means it.
		if keys := m.PublicKeys(); len(keys) > 0 {
			strict := bundle.NewVerificationConfig(keys, "", "", nil)
			if s := source.Signing; s != nil {
				strict = bundle.NewVerificationConfig(keys, s.KeyID, s.Scope, s.Exclude)
			}
			// With one key it does not matter what the signer called it; OPA's says "default".
			if strict.KeyID == "" && len(keys) == 1 {
				strict.KeyID = slices.Collect(maps.Keys(keys))[0]
			}
			source.Signing = strict
		}
		if at := m.Client(source.Service).Config().URL; source.Signing == nil && !safe(at) {
			return nil, fmt.Errorf("bundle %s: %s is plain http and there is no key: whoever is on the path could replace the policy; use https, or keys", name, at)
		}
		source.SizeLimitBytes = min(source.SizeLimitBytes, maxBytes)
		list = append(list, remote{name, filepath.Join(b.Dir, url.PathEscape(name)+".tar.gz"), source})
	}
	return list, nil
}

// safe says that nobody on the way can change what a server says.
func safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// read is the bundle as it was fetched last, also by an earlier process. Its
// signature is looked at again: the file lay where others may have been.
func (r *remote) read() (source, error) {
	s, err := readPath(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFetched
	}
	if err != nil {
		return source{}, fmt.Errorf("bundle %s: %w", r.name, err)
	}
	s.name, s.verify = "bundle "+r.name, r.source.Signing
	return s, nil
}

// Fetch keeps the configured bundles up to date until ctx ends. Without any it
// returns at once.
func (e *Engine) Fetch(ctx context.Context) error {
	if len(e.settings.remotes) == 0 {
		return nil
	}
	m, list, err := e.settings.Bundles.open()
	if err != nil {
		return fmt.Errorf("fetching policy bundles: %w", err)
	}
	defer m.Stop(context.WithoutCancel(ctx))
	if err := os.MkdirAll(e.settings.Bundles.Dir, 0o700); err != nil {
		return fmt.Errorf("fetching policy bundles: %w", err)
	}
	var stops []func(context.Context)
	for _, r := range list {
		f := &fetch{remote: r, engine: e, log: e.log.With("bundle", r.name)}
		client := m.Client(r.source.Service)
		if client.Config().Type == "oci" {
			f.store = r.path + ".oci"
			d := download.NewOCI(r.source.Config, client, r.source.Resource, f.store).WithCallback(f.done).
				WithBundleVerificationConfig(r.source.Signing).WithSizeLimitBytes(r.source.SizeLimitBytes).WithBundlePersistence(true)
			d.Start(ctx)
			stops = append(stops, d.Stop)
			continue
		}
		d := download.New(r.source.Config, client, r.source.Resource).WithCallback(f.done).
			WithBundleVerificationConfig(r.source.Signing).WithSizeLimitBytes(r.source.SizeLimitBytes).WithBundlePersistence(true)
		d.Start(ctx)
		stops = append(stops, d.Stop)
	}
	<-ctx.Done()
	for _, stop := range stops {
		stop(context.WithoutCancel(ctx))
	}
	return nil
}

// fetch takes what the downloader of one bundle brings.
type fetch struct {
	remote
	engine *Engine
	log    *slog.Logger

	// store is where the downloader of OCI artifacts keeps all that it ever fetched; kept
	// is when the bundle before this one had come. Callbacks come one at a time.
	store string
	kept  time.Time

	mu   sync.Mutex
	last string // the failure that the log knows
}

func (f *fetch) done(_ context.Context, u download.Update) error {
	err := u.Error
	if err == nil && u.Bundle != nil {
		err = f.keep(u)
		f.prune()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == f.last:
	case err != nil:
		f.log.Warn("the policy bundle can't be fetched; what was fetched before stays in force", "error", err)
	default:
		f.log.Info("the policy bundle is fetched again")
	}
	f.last = text
	f.engine.noteFetch(f.name, text)
	return err
}

// prune removes what the bundles before the last one have left in the store: the
// directory has a limit, and a pod that exceeds it is evicted.
func (f *fetch) prune() {
	blobs := filepath.Join(f.store, "blobs", "sha256")
	entries, err := os.ReadDir(blobs)
	if f.store == "" || err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.ModTime().Before(f.kept) {
			_ = os.Remove(filepath.Join(blobs, entry.Name())) // what is missed is fetched again
		}
	}
	f.kept = time.Now()
}

// keep puts the bundle into its file, whole or not at all.
func (f *fetch) keep(u download.Update) error {
	if u.Bundle.Type() != bundle.SnapshotBundleType {
		return errors.New("a delta bundle is not a whole policy")
	}
	content, err := io.ReadAll(u.Raw)
	if err != nil {
		return fmt.Errorf("keeping the bundle: %w", err)
	}
	if old, err := os.ReadFile(f.path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	fresh := f.path + ".new"
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		return fmt.Errorf("keeping the bundle: %w", err)
	}
	if err := os.Rename(fresh, f.path); err != nil {
		return fmt.Errorf("keeping the bundle: %w", err)
	}
	f.log.Info("a policy bundle was fetched", "revision", u.Bundle.Manifest.Revision, "octets", len(content))
	select {
	case f.engine.fetched <- struct{}{}:
	default: // Watch knows already
	}
	return nil
}

// noteFetch remembers which bundles could not be fetched last.
func (e *Engine) noteFetch(name, failure string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status.Fetches++
	failing := maps.Clone(e.status.Unfetched)
	if failing == nil {
		failing = map[string]string{}
	}
	delete(failing, name)
	if failure != "" {
		e.status.FetchFailures++
		failing[name] = failure
	}
	e.status.Unfetched = failing
}

package webhook

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"authz/internal/inject"
)

// Keeper makes the webhook's certificate and keeps it valid. It lives in one Secret,
// which every replica reads, and any of them renews; whom to trust is written into
// one MutatingWebhookConfiguration. Both must exist: to get and to update these two
// is all that the service account may do.
//
// Replicas agree without a leader: an update carries the resourceVersion that was
// read, so of two at once one is refused, reads again and finds the work done.
type Keeper struct {
	Cluster *Cluster
	// Namespace of the Secret and of the Service by whose name the API server calls.
	Namespace, Secret, Service string
	// Configuration is the name of the MutatingWebhookConfiguration.
	Configuration string
	// Every is the time between two looks.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
	// Failed is called when a look fails.
	Failed func()

	current atomic.Pointer[tls.Certificate]
}

// attempts is how often a look begins again when others write in between.
const attempts = 6

// Certificate is the one to serve, nil before the first look succeeded.
func (k *Keeper) Certificate() *tls.Certificate { return k.current.Load() }

// Run looks until ctx ends. What it has it goes on serving while the API server is
// away.
func (k *Keeper) Run(ctx context.Context) {
	for {
		wait := k.Every
		if err := k.Look(ctx); err != nil && ctx.Err() == nil {
			k.Failed()
			k.Log.Error("the webhook's certificate could not be looked after", "error", err)
			wait = min(wait, 5*time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)): // replicas shall not look all at once
		}
	}
}

// Look reads the Secret, renews what is due, tells the API server whom to trust, and
// only then serves the certificate.
func (k *Keeper) Look(ctx context.Context) error {
	m, err := k.renewed(ctx)
	if err != nil {
		return fmt.Errorf("secret %s/%s: %w", k.Namespace, k.Secret, k.explain(err, "secrets"))
	}
	if err := k.publish(ctx, m.bundle()); err != nil {
		return fmt.Errorf("mutatingwebhookconfiguration %s: %w", k.Configuration, k.explain(err, "mutatingwebhookconfigurations"))
	}
	if before := k.current.Swap(m.serving); before == nil || !before.Leaf.Equal(m.serving.Leaf) {
		k.Log.Info("serving a certificate", "serial", m.serving.Leaf.SerialNumber.Text(16), "until", m.serving.Leaf.NotAfter)
	}
	return nil
}

// explain adds the way out of the two errors that an installation can cause.
func (k *Keeper) explain(err error, resource string) error {
	switch {
	case errors.Is(err, errNotFound):
		return fmt.Errorf("%w; apply the manifests of the injector, which hold it", err)
	case errors.Is(err, errForbidden):
		return fmt.Errorf("%w; the injector's service account needs get and update of this one of %s", err, resource)
	}
	return err
}

// ServerName is the name by which the API server calls.
func (k *Keeper) ServerName() string { return k.Service + "." + k.Namespace + ".svc" }

// renewed returns what the Secret holds when nothing is due any more.
func (k *Keeper) renewed(ctx context.Context) (m material, err error) {
	path := "/api/v1/namespaces/" + k.Namespace + "/secrets/" + k.Secret
	err = k.retry(ctx, func() error {
		secret, err := k.Cluster.get(ctx, path)
		if err != nil {
			return err
		}
		data, encoded := map[string][]byte{}, inject.Object{}
		if d, ok := secret["data"].(inject.Object); ok {
			encoded = d
		}
		for name, v := range encoded {
			text, _ := v.(string)
			data[name], _ = base64.StdEncoding.DecodeString(text) // else as good as absent
		}
		m = readMaterial(data)
		changed, err := m.renew(k.ServerName(), k.Now())
		if err != nil || !changed {
			return err
		}
		if err := m.write(data); err != nil {
			return err
		}
		for name, v := range data {
			encoded[name] = base64.StdEncoding.EncodeToString(v)
		}
		secret["data"] = encoded
		return k.Cluster.put(ctx, path, secret)
	})
	return m, err
}

// publish has the API server trust the bundle, in every webhook of the configuration
// that calls this service.
func (k *Keeper) publish(ctx context.Context, bundle []byte) error {
	path := "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + k.Configuration
	want := base64.StdEncoding.EncodeToString(bundle)
	return k.retry(ctx, func() error {
		configuration, err := k.Cluster.get(ctx, path)
		if err != nil {
			return err
		}
		ours, changed := 0, false
		hooks, _ := configuration["webhooks"].([]any)
		for _, h := range hooks {
			hook, _ := h.(inject.Object)
			client, _ := hook["clientConfig"].(inject.Object)
			service, _ := client["service"].(inject.Object)
			if service["name"] != k.Service || service["namespace"] != k.Namespace {
				continue
			}
			ours++
			if client["caBundle"] != want {
				client["caBundle"] = want
				changed = true
			}
		}
		if ours == 0 {
			return fmt.Errorf("none of its webhooks calls the service %s/%s", k.Namespace, k.Service)
		}
		if !changed {
			return nil
		}
		return k.Cluster.put(ctx, path, configuration)
	})
}

// retry begins again when somebody else wrote in between.
func (k *Keeper) retry(ctx context.Context, f func() error) (err error) {
	for i := range attempts {
		if err = f(); !errors.Is(err, errConflict) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(i) * rand.N(20*time.Millisecond)):
		}
	}
	return err
}

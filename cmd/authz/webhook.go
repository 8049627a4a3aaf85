package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"authz/internal/inject"
	"authz/internal/webhook"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// serviceAccount is where the kubelet puts what a pod needs to speak to the API server.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// webhookConfig is the command line of authz webhook.
type webhookConfig struct {
	listen, ops                               string
	namespace, service, secret, configuration string
	certFile, keyFile                         string
	check                                     time.Duration
	log                                       Log
}

func webhookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Put the sidecars into pods as they are created",
		Long: `Put the sidecars into pods as they are created: a mutating admission webhook, over
HTTPS. It does what authz inject does, for pods with the label authz.dev/inject: "true"
(at ` + webhook.PodPath + `) and for all pods of namespaces that its MutatingWebhookConfiguration selects
(at ` + webhook.NamespacePath + `), but those that say "false".

It makes its own certificate, keeps it in a Secret, renews it, and writes whom to
trust into its MutatingWebhookConfiguration. Both objects must exist; to get and to
update these two is all that its service account may do. Any number of replicas agree
on one certificate. With --cert-file and --key-file it takes one that somebody else
keeps (cert-manager), and speaks to no API server.

On --ops-address it serves /livez, /readyz and /metrics. SIGTERM: finish the reviews
under way, then stop.`,
		Example: `  authz webhook --image registry.example/authz:1.2.3
  authz webhook --cert-file /tls/tls.crt --key-file /tls/tls.key --namespace authz-system`,
		Args: cobra.NoArgs,
	}
	options := injectFlags(cmd)
	var c webhookConfig
	flags := cmd.Flags()
	flags.StringVar(&c.listen, "listen", ":9443", "host:port for the API server")
	flags.StringVar(&c.ops, "ops-address", ":9901", "host:port of /livez, /readyz and /metrics")
	flags.StringVar(&c.namespace, "namespace", "", "namespace of the webhook (default: the pod's)")
	flags.StringVar(&c.service, "service", "authz-injector", "Service by which the API server calls")
	flags.StringVar(&c.secret, "secret", "authz-injector-tls", "Secret to keep the certificate in")
	flags.StringVar(&c.configuration, "configuration", "authz-injector", "MutatingWebhookConfiguration to keep the CA in")
	flags.StringVar(&c.certFile, "cert-file", "", "PEM certificate chain, instead of an own one")
	flags.StringVar(&c.keyFile, "key-file", "", "its PEM private key")
	flags.DurationVar(&c.check, "check-every", time.Minute, "time between two looks at the certificate")
	flags.StringVar(&c.log.Level, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&c.log.Format, "log-format", "json", "json or text")
	cmd.MarkFlagsRequiredTogether("cert-file", "key-file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		if err := o.Check(); err != nil {
			return fmt.Errorf("--set: %w", err)
		}
		return serveWebhook(cmd.Context(), c, o, cmd.ErrOrStderr())
	}
	return cmd
}

// keeper keeps a certificate in one way or the other.
type keeper interface {
	Run(ctx context.Context)
	Certificate() *tls.Certificate
}

func serveWebhook(ctx context.Context, c webhookConfig, o inject.Options, stderr io.Writer) error {
	log := newLogger(stderr, c.log)
	if c.namespace == "" {
		text, err := os.ReadFile(serviceAccount + "/namespace")
		if err != nil {
			return errors.New("which namespace is this? Outside a pod, say it with --namespace")
		}
		c.namespace = strings.TrimSpace(string(text))
	}
	reviews := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "authz_webhook_reviews_total",
		Help: "Reviews, by what became of them: injected, untouched, refused or failed."}, []string{"outcome"})
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "authz_webhook_certificate_failures_total",
		Help: "Looks at the webhook's certificate that failed."})
	keep, err := c.keeper(log, failures.Inc)
	if err != nil {
		return err
	}
	expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "authz_webhook_certificate_expiry_timestamp_seconds",
		Help: "When the served certificate ends; 0: there is none."}, func() float64 {
		if cert := keep.Certificate(); cert != nil {
			return float64(cert.Leaf.NotAfter.Unix())
		}
		return 0
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(reviews, failures, expiry)
	for _, outcome := range []webhook.Outcome{webhook.Injected, webhook.Untouched, webhook.Refused, webhook.Failed} {
		reviews.WithLabelValues(string(outcome))
	}
	side := http.NewServeMux()
	side.Handle("/", webhook.Health(func() bool { return keep.Certificate() != nil }))
	side.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	door, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("opening the door: %w", err)
	}
	sideDoor, err := net.Listen("tcp", c.ops)
	if err != nil {
		_ = door.Close()
		return fmt.Errorf("opening the side door: %w", err)
	}
	log.Info("webhook is up", "version", version, "address", door.Addr().String(), "ops", sideDoor.Addr().String(), "image", o.Image)

	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	injector := webhook.NewInjector(o, c.namespace, log, func(out webhook.Outcome) { reviews.WithLabelValues(string(out)).Inc() })
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { keep.Run(ctx); return nil })
	parts.Go(func() error { return webhook.Serve(ctx, door, injector.Handler(), keep.Certificate, log) })
	parts.Go(func() error { return webhook.Serve(ctx, sideDoor, side, nil, log) })
	return parts.Wait()
}

func (c webhookConfig) keeper(log *slog.Logger, failed func()) (keeper, error) {
	if c.certFile != "" {
		files := &webhook.Files{CertFile: c.certFile, KeyFile: c.keyFile, Every: c.check, Log: log, Failed: failed}
		return files, files.Look()
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("there is no API server to keep a certificate with: outside a cluster give --cert-file and --key-file")
	}
	cluster, err := webhook.InCluster(host, port, serviceAccount)
	if err != nil {
		return nil, err
	}
	return &webhook.Keeper{
		Cluster: cluster, Namespace: c.namespace, Secret: c.secret, Service: c.service, Configuration: c.configuration,
		Every: c.check, Now: time.Now, Log: log, Failed: failed,
	}, nil
}

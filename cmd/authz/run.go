package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"authz/internal/early"
	"authz/internal/policy"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Answer Envoy's checks until told to stop",
		Long: `Answer Envoy's checks until told to stop.

Every key of the configuration file is also a flag here and a variable in the
environment: listen.socket is --listen.socket and AUTHZ_LISTEN_SOCKET. A flag
overrides the environment, which overrides the file.

SIGTERM or SIGINT: drain, then stop (see shutdown.linger). A second one: stop now.
SIGHUP: load the policies again.`,
		Example: `  authz run --config authz.yaml
  authz run --policy.paths ./policies --listen.socket /tmp/authz.sock`,
		Args: cobra.NoArgs,
	}
	config := configFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := config()
		if err != nil {
			return err
		}
		return serve(cmd.Context(), c, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// serve builds the sidecar, runs it until a signal or a failure, and ends it in
// order: the front door drains first, the decision log is written out last.
func serve(ctx context.Context, c *Config, stdout, stderr io.Writer) error {
	log := newLogger(stderr, c.Log)
	limitMemory(memlimit.FromCgroup, log)
	for _, w := range c.warnings() {
		log.Warn("insecure setting", "setting", w)
	}
	decisions, err := openAudit(c.Audit.Output, stdout, stderr)
	if err != nil {
		return err
	}
	if decisions != nil {
		defer decisions.Close()
	}
	s, err := newSidecar(c, decisions, log)
	if err != nil {
		return err
	}
	defer s.quotas.close()
	switch err := s.engine.Load(ctx); {
	case errors.Is(err, policy.ErrNotFetched):
		log.Info("not ready before the policy bundles are fetched", "error", err)
	case err != nil:
		return &exitError{exitCompile, err}
	}
	if err := s.listen(); err != nil {
		return err
	}
	log.Info("authz is up", "version", version, "socket", c.Listen.Socket, "address", s.address(),
		"ops", s.ops.Addr().String(), "policy_revision", s.engine.Status().Revision, "issuers", len(c.Issuers))

	// Compiling took more than deciding will. A moment later, so that being ready does not
	// wait for a core.
	settle := time.AfterFunc(settleAfter, early.Settle)
	defer settle.Stop()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	return s.run(ctx, signals)
}

// settleAfter is how long after its start the sidecar gives back what only that needed.
const settleAfter = 300 * time.Millisecond

// run lets every part run and ends them in order.
func (s *sidecar) run(ctx context.Context, signals <-chan os.Signal) error {
	// serving ends first: the front door drains. The rest follows when it is shut.
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()

	recorded := make(chan error, 1)
	go func() { recorded <- s.audit.Run(recording) }()

	var parts errgroup.Group
	part := func(name string, f func(context.Context) error) {
		parts.Go(func() error {
			err := f(rest)
			if err != nil && !errors.Is(err, context.Canceled) {
				stopServing() // a part that dies takes the process with it, in order
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	part("keys", s.tokens.Run)
	part("policy watch", s.engine.Watch)
	part("policy bundles", s.engine.Fetch)
	part("side door", s.ops.Serve)

	go s.obey(rest, signals, stopServing)
	err := s.door.Serve(serving)
	stopRest()
	err = errors.Join(err, parts.Wait())
	stopRecording()
	select {
	case failure := <-recorded:
		return errors.Join(err, failure)
	case <-time.After(lastWrite):
		return errors.Join(err, errors.New("the decision log could not be written out: its output is stuck"))
	}
}

// lastWrite is how long the end waits for a decision log whose reader has stopped.
const lastWrite = 2 * time.Second

// obey carries out signals until ctx ends.
func (s *sidecar) obey(ctx context.Context, signals <-chan os.Signal, stop func()) {
	stopping := false
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				if err := s.engine.Load(ctx); err != nil {
					s.log.Error("policy not reloaded; the old one stays in force", "error", err)
				}
			case stopping:
				s.log.Warn("stopping at once", "signal", sig.String())
				s.door.Stop()
			default:
				stopping = true
				s.log.Info("draining", "signal", sig.String(), "at_most", s.config.Shutdown.total().String())
				s.draining.Store(true)
				stop()
			}
		}
	}
}

func newLogger(w io.Writer, c Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func openAudit(output string, stdout, stderr io.Writer) (io.WriteCloser, error) {
	switch output {
	case "stdout":
		return nopCloser{stdout}, nil
	case "stderr":
		return nopCloser{stderr}, nil
	case "none":
		return nil, nil //nolint:nilnil // no log is an answer
	}
	f, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the decision log: %w", err)
	}
	return f, nil
}

// total is how long a stopping process may need at most.
func (s Shutdown) total() time.Duration { return time.Duration(s.Linger + s.Grace) }

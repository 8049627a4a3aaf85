// Demo shows the sidecar at work on a machine that has nothing but Go, Python 3 and
// make: a real Envoy with the shipped configuration, the sidecar, an issuer with a
// JWKS endpoint and an API without any security code, all on free ports. It walks
// through a few real requests, then stays up for the reader's own.
//
//	make demo                 the tour, then Ctrl-C ends everything
//	make demo ARGS=--check    the tour alone; exit code 1 if an answer is not as told
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"authz/internal/testbed"
)

func main() {
	check := flag.Bool("check", false, "take the tour, verify each answer, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *check)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is everything that the demo starts.
type stage struct {
	issuer  *testbed.Issuer
	api     *api
	sidecar *testbed.Sidecar
	envoy   *testbed.Envoy
	dir     string
}

func run(ctx context.Context, out io.Writer, check bool) error {
	s, err := setUp(ctx, out)
	if s != nil {
		defer s.tearDown()
	}
	if err != nil {
		return err
	}
	t := &tour{stage: s, out: out, colour: colourful(out)}
	t.take(ctx)
	if t.wrong > 0 {
		return fmt.Errorf("%d of %d answers were not as told", t.wrong, t.step)
	}
	fmt.Fprintf(out, "\n%d answers, all as told.\n", t.step)
	if check {
		return nil
	}
	s.invite(out)
	<-ctx.Done()
	fmt.Fprintln(out, "\nending …")
	return nil
}

func setUp(ctx context.Context, out io.Writer) (s *stage, err error) {
	s = &stage{}
	say := func(format string, args ...any) { fmt.Fprintf(out, "· "+format+"\n", args...) }
	if s.dir, err = os.MkdirTemp("", "authz-demo-"); err != nil {
		return s, err
	}
	say("starting an issuer with a JWKS endpoint")
	s.issuer = testbed.NewIssuer("RS256")
	s.issuer.Audience = "https://api.example.com"
	say("starting an API without any security code")
	if s.api, err = startAPI(); err != nil {
		return s, err
	}
	say("building and starting the sidecar")
	s.sidecar, err = testbed.StartSidecar(ctx, testbed.SidecarOptions{
		Config: s.config(), Socket: filepath.Join(s.dir, "authz.sock"),
	})
	if err != nil {
		return s, err
	}
	say("starting Envoy with envoy/envoy.yaml")
	s.envoy, err = testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: s.sidecar.Socket, App: s.api.address})
	return s, err
}

// config is what a team would write: its policies, and who may sign tokens.
func (s *stage) config() string {
	return fmt.Sprintf(`policy:
  paths: [demo/policies]
issuers:
  - name: demo
    issuer: %s
    audiences: [https://api.example.com]
    refetch_window: 1s
`, s.issuer.URL)
}

// tearDown ends what was started, Envoy first: the sidecar waits for it to go.
func (s *stage) tearDown() {
	if s.envoy != nil {
		_ = s.envoy.Stop()
	}
	if s.sidecar != nil {
		_ = s.sidecar.Stop()
	}
	if s.api != nil {
		s.api.stop()
	}
	if s.issuer != nil {
		s.issuer.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// invite tells how to go on by hand.
func (s *stage) invite(out io.Writer) {
	fmt.Fprintf(out, `
Everything stays up until Ctrl-C. Try:

  CLERK=%s
  ADMIN=%s

  curl -i %s/health
  curl -i %[3]s/orders
  curl -i %[3]s/orders -H "Authorization: Bearer $CLERK"
  curl -i %[3]s/admin/orders -H "Authorization: Bearer $CLERK"
  curl -i %[3]s/admin/orders -H "Authorization: Bearer $ADMIN"
  curl -i --path-as-is %[3]s/health/../admin/orders
  curl -s %[4]s/readyz
  curl -s %[4]s/metrics | grep authz_decisions

The policies are in demo/policies: change them and ask again.
`, s.token("carol", "clerk"), s.token("ada", "admin"), s.envoy.URL, s.sidecar.Ops)
}

// token is a good one of an hour for the tour and the reader.
func (s *stage) token(subject string, roles ...string) string {
	return s.issuer.Token(map[string]any{"sub": subject, "roles": roles, "exp": inAnHour()})
}

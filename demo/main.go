// Demo shows the sidecar at work on a machine that has nothing but Go, Python 3 and
// make: a real Envoy with the shipped configuration, the sidecar, an issuer with a
// JWKS endpoint and a small shop without any security code (internal/shop), all on
// free ports. It walks through some thirty real requests, a row of the checklist after
// the other, then stays up for the reader's own.
//
// TLS ends in front of Envoy, as behind most load balancers; the demo plays that proxy
// and says so in X-Forwarded-Proto.
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
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"authz/internal/shop"
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
	app     *httptest.Server
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
	say("starting a shop without any security code")
	s.app = httptest.NewServer(s.shop())
	say("building and starting the sidecar")
	s.sidecar, err = testbed.StartSidecar(ctx, testbed.SidecarOptions{
		Config: s.config(), Socket: filepath.Join(s.dir, "authz.sock"),
	})
	if err != nil {
		return s, err
	}
	say("starting Envoy with envoy/envoy.yaml, one trusted proxy in front")
	s.envoy, err = testbed.StartEnvoy(ctx, testbed.EnvoyOptions{
		Sidecar: s.sidecar.Socket, App: s.app.Listener.Addr().String(),
		Edits: []testbed.Edit{{Path: testbed.HCM + ".xff_num_trusted_hops", Value: 1}},
	})
	return s, err
}

// shop is the application. Who may log in is the issuer's to say.
func (s *stage) shop() *shop.Shop {
	app := shop.New()
	app.Login = func(user, password string) (string, bool) {
		return s.token(user, "clerk"), user == "alice" && password == alicesPassword
	}
	return app
}

// alicesPassword is what alice logs in with.
const alicesPassword = "correct-horse"

// config is what a team would write: its policies, and who may sign tokens.
func (s *stage) config() string {
	return fmt.Sprintf(`policy:
  paths: [demo/policies]
issuers:
  - name: demo
    issuer: %s
    audiences: [https://api.example.com]
    refetch_window: 1s
token: {cookie: session}
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
	if s.app != nil {
		s.app.Close()
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
  TLS="X-Forwarded-Proto: https"

  curl -i %s/health
  curl -i -H "$TLS" %[3]s/health
  curl -i -H "$TLS" %[3]s/orders
  curl -i -H "$TLS" %[3]s/orders -H "Authorization: Bearer $CLERK"
  curl -i -H "$TLS" %[3]s/orders -H "Authorization: Bearer $CLERK" --json '{"item": "ink"}'
  curl -i -H "$TLS" %[3]s/admin -H "Authorization: Bearer $CLERK"
  curl -i -H "$TLS" %[3]s/admin -H "Authorization: Bearer $ADMIN"
  curl -i -H "$TLS" %[3]s/users/bob -H "Authorization: Bearer $ADMIN"
  curl -i -H "$TLS" --path-as-is %[3]s/health/../admin
  curl -s %[4]s/readyz
  curl -s %[4]s/metrics | grep authz_decisions

The policies are in demo/policies: change them and ask again.
`, s.token("alice", "clerk"), s.token("ada", "admin"), s.envoy.URL, s.sidecar.Ops)
}

// token is a good one of an hour for the tour and the reader.
func (s *stage) token(subject string, roles ...string) string {
	return s.issuer.Token(map[string]any{"sub": subject, "roles": roles, "exp": inAnHour()})
}

// Package browser lets a real browser be the judge of what only a browser can judge:
// who may read an answer, whose cookies go along, which page may be framed and which
// script runs. A headless Chromium talks to a real Envoy that runs the shipped
// configuration, with TLS beside it, the sidecar with the policy library behind that,
// and a shop without any security code.
//
// The browser itself maps names and the schemes' own ports to this machine, so that
// origins are what they are in the world:
//
//	https://shop.example.test     Envoy, TLS
//	http://shop.example.test      Envoy, plain; so is every http://*.old.test
//	https://bare.example.test     the shop alone: where the attacks must succeed
//	any other name                pages of other people, https, http and https on 8443
//
// So nothing that the browser asks for leaves the machine, either.
//
// What a test asserts is what a page's own script got, what the browser reported, or
// what reached the shop or the other people's server.
package browser

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"authz/internal/shop"
	"authz/internal/testbed"
)

// patience is how long a single step may take on a busy machine.
const patience = 30 * time.Second

// world is what every test stands on.
var world struct {
	shop    *recorder // the shop, behind Envoy and bare
	others  *recorder // other people's pages
	issuer  *testbed.Issuer
	browser context.Context
}

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("browser: left out by -short")
		return
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	code := 1
	if err := withWorld(func() { code = m.Run() }); err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		return 1
	}
	return code
}

func withWorld(run func()) error {
	chromium, err := findChromium()
	if err != nil {
		return err
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	w := &world
	w.issuer = testbed.NewIssuer("ES256")
	defer w.issuer.Close()
	w.issuer.Audience = "shop"

	w.shop, w.others = &recorder{}, &recorder{handler: http.HandlerFunc(otherPage)}
	w.shop.serve(newShop())
	app := httptest.NewServer(w.shop)
	defer app.Close()
	bare := certificate.serve(w.shop)
	defer bare.Close()
	others := certificate.serve(w.others)
	defer others.Close()
	othersPlain := httptest.NewServer(w.others)
	defer othersPlain.Close()

	ctx := context.Background()
	sidecar, err := testbed.StartSidecar(ctx, testbed.SidecarOptions{Config: fmt.Sprintf(`
listen: {check_timeout: 9s}     # a browser, Envoy and the race detector share one machine
policy:
  paths: [browser/testdata]
  timeout: 8s
issuers:
  - name: shop
    issuer: %s
    audiences: [shop]
token: {cookie: session}
`, w.issuer.URL)})
	if err != nil {
		return err
	}
	defer sidecar.Stop()
	second, err := certificate.listener()
	if err != nil {
		return err
	}
	envoy, err := testbed.StartEnvoy(ctx, testbed.EnvoyOptions{Sidecar: sidecar.Socket, App: app.Listener.Addr().String(), FailureModeAllow: true,
		Edits: []testbed.Edit{
			{Path: testbed.ExtAuthz + ".grpc_service.timeout", Value: "10s"},
			{Path: "static_resources.listeners.1", Value: second},
		}})
	if err != nil {
		return err
	}
	defer envoy.Stop()
	tlsAddress, err := listenerAddress(ctx, envoy, "tls")
	if err != nil {
		return err
	}

	rules := strings.Join([]string{ // the first that fits
		"MAP shop.example.test:443 " + tlsAddress,
		"MAP shop.example.test:80 " + envoy.Addr,
		"MAP *.old.test:80 " + envoy.Addr,
		"MAP bare.example.test:443 " + bare.Listener.Addr().String(),
		"MAP *:80 " + othersPlain.Listener.Addr().String(),
		"MAP *:443 " + others.Listener.Addr().String(),
		"MAP *:8443 " + others.Listener.Addr().String(),
	}, ",")
	profile, err := newProfile()
	if err != nil {
		return err
	}
	defer os.RemoveAll(profile)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", rules),
		chromedp.Flag("ignore-certificate-errors-spki-list", certificate.pin),
		chromedp.WSURLReadTimeout(2*patience))
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	defer stopAllocator()
	tab, stopBrowser := chromedp.NewContext(allocator)
	defer stopBrowser()
	w.browser = tab
	if err := chromedp.Do(tab); err != nil {
		return fmt.Errorf("starting %s: %w", chromium, err)
	}
	run()
	return nil
}

// findChromium says which browser runs.
func findChromium() (string, error) {
	if path := os.Getenv("TESTBED_CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium on PATH: run `make chromium`, or name one in TESTBED_CHROMIUM")
}

// newProfile is a folder with the one setting that matters: cookies go along to another
// site than the page's, as in most browsers. Private windows and Debian's Chromium keep
// them back, which would do a part of the sidecar's work.
func newProfile() (string, error) {
	dir, err := os.MkdirTemp("", "authz-browser-")
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "Default"), 0o700); err != nil {
		return "", err
	}
	settings := `{"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": false}}`
	return dir, os.WriteFile(filepath.Join(dir, "Default", "Preferences"), []byte(settings), 0o600)
}

// newShop is the shop, where alice and ada log in with the password "secret".
func newShop() *shop.Shop {
	s := shop.New()
	s.Login = func(user, password string) (string, bool) {
		roles := map[string][]string{"alice": {"clerk"}, "ada": {"admin"}}[user]
		if roles == nil || password != "secret" {
			return "", false
		}
		return world.issuer.Token(map[string]any{"sub": user, "roles": roles}), true
	}
	return s
}

// otherPage is an empty page, whatever is asked for.
func otherPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!doctype html><title>Other people</title>")
}

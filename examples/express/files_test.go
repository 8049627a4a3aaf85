package express

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"authz/internal/testbed"
)

var update = flag.Bool("update", false, "write envoy.yaml anew from envoy/envoy.yaml")

// head is the comment at the top of the example's envoy.yaml.
const head = `# envoy/envoy.yaml for this example: one trusted proxy in front (it ends TLS, and you play it with curl),
# loopback only, and the sidecar's socket in .run/. A test holds the rest to the original.
`

// The example's Envoy is the one to deploy, but for three values.
func TestEnvoyIsTheShippedOne(t *testing.T) {
	shipped, err := os.ReadFile("../../envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(shipped), "\n\n")
	for old, value := range map[string]string{
		"address: 0.0.0.0, port_value: 8080": "address: 127.0.0.1, port_value: 8080",
		"xff_num_trusted_hops: 0":            "xff_num_trusted_hops: 1",
		"path: /run/authz/authz.sock":        "path: .run/authz.sock",
	} {
		if strings.Count(rest, old) != 1 {
			t.Fatalf("envoy/envoy.yaml: not one %q", old)
		}
		rest = strings.Replace(rest, old, value, 1)
	}
	want := head + "\n" + rest
	if *update {
		if err := os.WriteFile("envoy.yaml", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("envoy.yaml differs from envoy/envoy.yaml in more than three values: `go test ./examples/express -run Envoy -update` writes it anew")
	}
}

// The requests in the README get the answers that it tells.
func TestReadme(t *testing.T) {
	w := example(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl on PATH")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(URL=http://127.0.0.1:8080\n.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("no requests")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".run"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-euc", strings.Replace(string(block[1]), "http://127.0.0.1:8080", w.envoy.URL, 1))
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	told := statuses(regexp.MustCompile(`(?m)^curl .* # (\d+): `), block[1])
	got := statuses(regexp.MustCompile(`HTTP/1.1 (\d+) `), out)
	if !reflect.DeepEqual(got, told) || len(told) != 6 {
		t.Errorf("got %q, told %q\n%s", got, told, out)
	}
}

func statuses(in *regexp.Regexp, text []byte) (found []string) {
	for _, m := range in.FindAllSubmatch(text, -1) {
		found = append(found, string(m[1]))
	}
	return found
}

// run.js starts everything as it is, and Ctrl-C ends everything.
func TestRun(t *testing.T) {
	needNode(t)
	envoy, err := testbed.EnvoyBinary()
	if err != nil {
		t.Fatal(err)
	}
	p, ports := running(t, envoy)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := p.Log().Wait(ctx, func(line string) bool { return strings.Contains(line, "Ctrl-C ends everything") }); err != nil {
		t.Fatalf("%v\n%s", err, p.Log())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", ports[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-Proto", "https")
	for status := 0; status != http.StatusOK; { // Envoy waits a second for a check: not enough for a machine that is busy
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("health: %v, last status %d\n%s", err, status, p.Log())
		}
		res.Body.Close()
		status = res.StatusCode
	}
	if err := p.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, p.Log())
	}
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Errorf("after Ctrl-C something still listens: %v", err)
			continue
		}
		l.Close()
	}
}

// When one of them ends, so do the others, and it is said which and where to look.
func TestRunEndsWithTheFirstThatEnds(t *testing.T) {
	needNode(t)
	p, ports := running(t, "false") // an Envoy that ends at once
	if err := p.Err(); err == nil || !strings.Contains(p.Log().String(), "envoy has ended (exit code 1); examples/express/.run/envoy.log says why") {
		t.Errorf("got %v\n%s", err, p.Log())
	}
	if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[1])); err == nil {
		conn.Close()
		t.Error("the app still listens")
	}
}

// running starts run.js with this Envoy on five ports that are free.
func running(t *testing.T, envoy string) (*testbed.Process, []int) {
	t.Helper()
	shift, ports := freeShift(t)
	cmd := exec.Command("node", "run.js")
	cmd.Env = append(os.Environ(), "ENVOY="+envoy, fmt.Sprintf("SHIFT=%d", shift), "AUTHZ_POLICY_TIMEOUT=2s", "AUTHZ_LISTEN_CHECK_TIMEOUT=4s")
	p, err := testbed.Start("run.js", cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	return p, ports
}

// freeShift looks for a shift below the kernel's own range, where nobody listens.
func freeShift(t *testing.T) (shift int, ports []int) {
	t.Helper()
	for shift = 3000 + os.Getpid()%500*20; shift < 20000; shift += 13 {
		ports = nil
		for _, port := range []int{8080, 3000, 9000, 9901, 9902} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+shift))
			if err != nil {
				break
			}
			l.Close()
			ports = append(ports, port+shift)
		}
		if len(ports) == 5 {
			return shift, ports
		}
	}
	t.Fatal("no five free ports")
	return 0, nil
}

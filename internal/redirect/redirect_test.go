package redirect

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Two network namespaces with a cable between them: what comes over the cable for
// the app's port gets Envoy, what comes over loopback the app.
func TestRedirect(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip (iproute2)")
	}
	outside, pod := newNamespace(t), newNamespace(t)
	podPath := ""
	pod.do(func() { podPath = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()) })
	outside.ip(t, "link add cable0 type veth peer name cable1")
	outside.ip(t, "link set cable1 netns "+podPath)
	outside.ip(t, "addr add 10.90.0.1/24 dev cable0")
	outside.ip(t, "link set cable0 up")
	pod.ip(t, "link set lo up")
	pod.ip(t, "addr add 10.90.0.2/24 dev cable1")
	pod.ip(t, "link set cable1 up")
	pod.serve(t, "0.0.0.0:8080", "app")
	pod.serve(t, "10.90.0.2:9900", "envoy")

	ask := func(from *namespace, address, want string) {
		t.Helper()
		if got := from.ask(address); got != want {
			t.Errorf("%s answers %q, not %q", address, got, want)
		}
	}
	ask(outside, "10.90.0.2:8080", "app")
	for range 2 { // the second time it takes the first one's place
		pod.do(func() {
			if err := Set(Port{8081, 9900}, Port{8080, 9900}); err != nil {
				t.Fatal(err)
			}
		})
		ask(outside, "10.90.0.2:8080", "envoy")
		ask(pod, "127.0.0.1:8080", "app")
		ask(pod, "10.90.0.2:8080", "app")
	}
}

// namespace is a thread in a network namespace of its own.
type namespace struct{ work chan func() }

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	begun := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		begun <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.work {
			f()
		}
	}()
	if err := <-begun; err != nil {
		t.Skipf("needs the right to make network namespaces: %v", err)
	}
	t.Cleanup(func() { close(n.work) })
	return n
}

func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

func (n *namespace) ip(t *testing.T, args string) {
	t.Helper()
	n.do(func() {
		if out, err := exec.Command("sh", "-c", "ip "+args).CombinedOutput(); err != nil {
			t.Errorf("ip %s: %v: %s", args, err, out)
		}
	})
}

// serve says who to everybody who connects.
func (n *namespace) serve(t *testing.T, address, who string) {
	t.Helper()
	var l net.Listener
	var err error
	n.do(func() { l, err = net.Listen("tcp4", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, who)
			_ = c.Close()
		}
	}()
}

func (n *namespace) ask(address string) (said string) {
	n.do(func() {
		c, err := net.DialTimeout("tcp4", address, 10*time.Second)
		if err != nil {
			said = err.Error()
			return
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		if said = string(text); err != nil {
			said = err.Error()
		}
	})
	return said
}

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// restricted: the namespace enforces it and the pods run; what it refuses shows that
// it does enforce.
func (w *world) restricted() (string, error) {
	_, err := w.kubectl("", "-n", namespace, "run", "loose", "--image", appImage, "--restart=Never")
	if err := refusedWith(err, "violates PodSecurity"); err != nil {
		return "", fmt.Errorf("a pod without a security context: %w", err)
	}
	pods, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	var figures []string
	for _, name := range []string{"authz", "envoy", "shop"} {
		pid, _, err := w.process(pods[0], name)
		if err != nil {
			return "", err
		}
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return "", err
		}
		got := map[string]string{}
		for line := range strings.Lines(string(status)) {
			if key, value, ok := strings.Cut(line, ":"); ok {
				got[key] = strings.Join(strings.Fields(value), " ")
			}
		}
		line := fmt.Sprintf("%s: uid %s, capabilities %s, no new privileges %s, seccomp %s", name, strings.Fields(got["Uid"])[0], got["CapEff"], got["NoNewPrivs"], got["Seccomp"])
		if line != name+": uid 65532, capabilities 0000000000000000, no new privileges 1, seccomp 2" {
			return "", errors.New(line)
		}
		figures = append(figures, line)
	}
	return strings.Join(figures, "\n"), nil
}

// around: no port of a pod leads to the app but through Envoy, from the node and from
// a pod in another namespace.
func (w *world) around() (string, error) {
	pods, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	figures, err := w.noWayAround(pods[0].Status.PodIP)
	if err != nil {
		return "", err
	}
	said, err := w.fromElsewhere(fmt.Sprintf("http://%s:3000/orders", pods[0].Status.PodIP))
	if err != nil {
		return "", err
	}
	if said != "401" {
		return "", fmt.Errorf("a pod of another namespace got %q, want 401", said)
	}
	return figures + "\na pod of another namespace got 401", nil
}

// noWayAround asks every port of a pod that is open, in some roundabout ways.
func (w *world) noWayAround(address string) (string, error) {
	open := openPorts(address)
	if !slices.Contains(open, 3000) {
		return "", fmt.Errorf("port 3000 is not open, only %v: the scan proves nothing", open)
	}
	for _, port := range open {
		url := "http://" + net.JoinHostPort(address, strconv.Itoa(port))
		for _, path := range []string{"/", "/orders", "/admin", "//orders", "/ready/../orders", "/shop/readiness/../../orders"} {
			if a := w.ask(once, http.MethodGet, url+path, ""); a.app {
				return "", fmt.Errorf("without a token the app answers at port %d, %s: %v", port, path, a)
			}
		}
	}
	return fmt.Sprintf("of 65535 ports %v are open; at none of them the app answers a request without a token", open), nil
}

// openPorts tries every TCP port.
func openPorts(address string) []int {
	var open []int
	var mu sync.Mutex
	var workers sync.WaitGroup
	ports := make(chan int)
	for range 200 {
		workers.Go(func() {
			for port := range ports {
				conn, err := net.DialTimeout("tcp", net.JoinHostPort(address, strconv.Itoa(port)), 5*time.Second)
				if err == nil {
					conn.Close()
					mu.Lock()
					open = append(open, port)
					mu.Unlock()
				}
			}
		})
	}
	for port := 1; port <= 65535; port++ {
		ports <- port
	}
	close(ports)
	workers.Wait()
	slices.Sort(open)
	return open
}

// fromElsewhere asks from a pod in another namespace and returns what it was told.
func (w *world) fromElsewhere(url string) (string, error) {
	const name = "stranger"
	if _, err := w.kubectl("", "-n", "default", "run", name, "--image", appImage, "--image-pull-policy=Never", "--restart=Never", "--", "get", url); err != nil {
		return "", err
	}
	if _, err := w.kubectl("", "-n", "default", "wait", "pod/"+name, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s"); err != nil {
		return "", err
	}
	said, err := w.kubectl("", "-n", "default", "logs", name)
	if err != nil {
		return "", err
	}
	_, err = w.kubectl("", "-n", "default", "delete", "pod", name, "--grace-period=0", "--force")
	return strings.TrimSpace(said), err
}

// memory: the kernel's limit is the manifest's, the runtime of Go keeps below it, and
// a flood of tokens that are all different does not reach it.
func (w *world) memory() (string, error) {
	url, alice, err := w.ends()
	if err != nil {
		return "", err
	}
	pods, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	pid, _, err := w.process(pods[0], "authz")
	if err != nil {
		return "", err
	}
	limit, err := memoryFigure(pid, "memory.limit_in_bytes", "memory.max")
	if err != nil {
		return "", err
	}
	environment, err := os.ReadFile("/proc/" + pid + "/environ")
	if err != nil {
		return "", err
	}
	var goLimit int64
	for variable := range strings.SplitSeq(string(environment), "\x00") {
		if value, ok := strings.CutPrefix(variable, "GOMEMLIMIT="); ok {
			goLimit, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	if limit != 256<<20 || goLimit < limit*8/10 || goLimit >= limit {
		return "", fmt.Errorf("cgroup limit %d, want %d; GOMEMLIMIT %d, want 80 to 100 %% of it", limit, 256<<20, goLimit)
	}
	const flood = 4000
	var workers sync.WaitGroup
	for n := range 8 {
		workers.Go(func() {
			client := &http.Client{Timeout: once.Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			for i := range flood / 8 {
				w.ask(client, http.MethodGet, url+"/orders", forged(alice, ":alice", fmt.Sprintf(":user-%d-%d", n, i)))
			}
		})
	}
	workers.Wait()
	most, err := memoryFigure(pid, "memory.max_usage_in_bytes", "memory.peak")
	if err != nil {
		return "", fmt.Errorf("the sidecar is gone after a flood: %w", err)
	}
	again, err := w.pods("shop")
	if err != nil {
		return "", err
	}
	for _, p := range again {
		if n := p.container("authz").RestartCount; n > 0 {
			return "", fmt.Errorf("the sidecar of %s was restarted %d times", p.Metadata.Name, n)
		}
	}
	if a := w.ask(once, http.MethodGet, url+"/orders", alice); a.status != http.StatusOK {
		return "", fmt.Errorf("after a flood: %v", a)
	}
	return fmt.Sprintf("limit %d MiB in the cgroup, GOMEMLIMIT %d MiB; at most %d MiB used in a flood of %d different tokens, 0 restarts",
		limit>>20, goLimit>>20, most>>20, flood), nil
}

// memoryFigure reads a file of the memory cgroup of a process, under either version.
func memoryFigure(pid, v1, v2 string) (int64, error) {
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return 0, err
	}
	var file string
	for line := range strings.Lines(string(text)) {
		switch fields := strings.SplitN(strings.TrimSpace(line), ":", 3); fields[1] {
		case "memory":
			file = filepath.Join("/sys/fs/cgroup/memory", fields[2], v1)
		case "":
			if file == "" {
				file = filepath.Join("/sys/fs/cgroup", fields[2], v2)
			}
		}
	}
	value, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64)
}

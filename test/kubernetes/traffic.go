package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// answer is one response, or the error in its place.
type answer struct {
	status int
	app    bool // the app itself was reached
	header http.Header
	body   string
	err    error
}

func (a answer) String() string {
	switch {
	case a.err != nil:
		return "no answer"
	case a.app:
		return fmt.Sprintf("%d from the app", a.status)
	}
	return fmt.Sprint(a.status)
}

// once sends every request over a connection of its own, so that kube-proxy chooses
// a pod for each.
var once = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends one request; token may be empty.
func (w *world) ask(client *http.Client, method, url, token string) answer {
	request, err := http.NewRequestWithContext(w.ctx, method, url, http.NoBody)
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header.Get("X-App") != "", response.Header, string(body), err}
}

// token asks the API server for a token of a service account (TokenRequest).
func (w *world) token(account, audience string) (string, error) {
	out, err := w.kubectl("", "-n", namespace, "create", "token", account, "--audience", audience, "--duration", "1h")
	return strings.TrimSpace(out), err
}

// forged is the token with another subject, and the signature of the first.
func forged(token, from, to string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return token
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return token
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(claims), from, to)))
	return strings.Join(parts, ".")
}

// service is the URL of a Service, by its cluster address: there is no DNS.
func (w *world) service(name string) (string, error) {
	address, err := w.get("service", name, ".spec.clusterIP")
	return "http://" + address, err
}

// traffic is a stream of requests that runs beside what the test does.
type traffic struct {
	stop    context.CancelFunc
	workers sync.WaitGroup
	mu      sync.Mutex
	counts  map[string]int
	first   map[string]string // the first answer of each kind that was not wanted
	longest time.Duration
}

// startTraffic sends GET requests that must all reach the app: by half of the workers
// each over a new connection, by the other half over connections that are kept.
func (w *world) startTraffic(workers int, url, token string) *traffic {
	ctx, stop := context.WithCancel(w.ctx)
	t := &traffic{stop: stop, counts: map[string]int{}, first: map[string]string{}}
	for n := range workers {
		client := once
		if n%2 == 1 {
			client = &http.Client{Timeout: once.Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
		}
		t.workers.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				t.note(w.ask(client, http.MethodGet, url, token), time.Since(start))
				select {
				case <-ctx.Done():
				case <-time.After(25 * time.Millisecond):
				}
			}
		})
	}
	return t
}

func (t *traffic) note(a answer, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := a.String()
	t.counts[kind]++
	t.longest = max(t.longest, took)
	if _, there := t.first[kind]; !there && !(a.status == http.StatusOK && a.app) {
		t.first[kind] = fmt.Sprintf("%s %v %s", kind, a.err, strings.TrimSpace(a.body))
	}
}

// sent is how many have been answered so far.
func (t *traffic) sent() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, count := range t.counts {
		n += count
	}
	return n
}

// end stops it. Anything but 200 from the app is a request lost.
func (t *traffic) end(atLeast int) (string, error) {
	for t.sent() < atLeast {
		time.Sleep(50 * time.Millisecond)
	}
	t.stop()
	t.workers.Wait()
	total := t.sent()
	lost := total - t.counts["200 from the app"]
	if lost > 0 {
		return "", fmt.Errorf("%d of %d requests lost: %v\n%s", lost, total, t.counts, strings.Join(slices.Sorted(maps.Values(t.first)), "\n"))
	}
	return fmt.Sprintf("%d requests, 0 lost, the slowest took %d ms", total, t.longest.Milliseconds()), nil
}

// Package quotas puts ten real sidecars before one Redis and audits what they let pass,
// from the whole log.
package quotas

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"authz/internal/testbed"
)

var loadTime = flag.Duration("load.time", 3*time.Second, "how long the ten sidecars are under load")

const (
	sidecars = 10
	lanes    = 2 // checks at a time at each sidecar
	keys     = 10_000
	hot      = 5
	// The quota of testdata/policy.
	burst, perSecond = 200.0, 100.0
)

// event is one check as its caller saw it.
type event struct {
	key         int
	begun, done time.Duration
	passed      bool
}

// No key passes more than its bound in any interval, and what can be used is used.
func TestTenSidecars(t *testing.T) {
	if testing.Short() {
		t.Skip("starts ten sidecars and a Redis")
	}
	for _, lease := range []time.Duration{0, 200 * time.Millisecond} {
		t.Run("lease "+lease.String(), func(t *testing.T) { tenSidecars(t, lease, keys, 0.97) })
	}
}

// Where all load is on a few keys, what they cost the store has a bound that does not
// depend on the load: their units one by one at worst, and each sidecar's tries.
func TestHotKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("starts ten sidecars and a Redis")
	}
	// Ten sidecars that all want the last unit of the same few keys leave some of it lying, the more
	// the slower they ask.
	orders := tenSidecars(t, 200*time.Millisecond, hot, 0.9)
	rate := orders / hot / loadTime.Seconds()
	t.Logf("%.0f round trips a second for a hot key", rate)
	if most := 2*perSecond + sidecars*6/0.2; rate > most {
		t.Errorf("%.0f round trips a second for a hot key, at most %.0f", rate, most)
	}
}

// tenSidecars loads them and returns the round trips.
func tenSidecars(t *testing.T, lease time.Duration, keys uint64, least float64) float64 {
	redis, err := testbed.StartRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Stop() })
	// A long budget: here the store is to answer, however busy the machine is.
	config := fmt.Sprintf(`
policy: {paths: [test/quotas/testdata/policy], decision: fleet/decision, library: false, timeout: 4s}
listen: {check_timeout: 30s}
audit: {output: none}
quotas: {redis: {addresses: [%q], timeout: 10s, lease: %s, fallback: deny, replicas: %d}}
`, redis.Addr, lease, sidecars)
	fleet := make([]*testbed.Sidecar, sidecars)
	for i := range fleet {
		s, err := testbed.StartSidecar(t.Context(), testbed.SidecarOptions{Config: config})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		fleet[i] = s
	}
	logs := make([][]event, sidecars*lanes)
	var all sync.WaitGroup
	begun := time.Now()
	for i := range logs {
		conn, err := grpc.NewClient("unix:"+fleet[i/lanes].Socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		all.Go(func() { logs[i] = ask(t, authv3.NewAuthorizationClient(conn), uint64(i), keys, begun) })
	}
	all.Wait()
	log := slices.Concat(logs...)
	orders, leased := 0.0, 0.0
	for _, s := range fleet {
		for name, sum := range map[string]*float64{"authz_quota_store_orders_total": &orders, "authz_quota_store_leased_total": &leased} {
			n, err := s.Metric(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			*sum += n
		}
		if n, err := s.Metric(t.Context(), "authz_quota_store_fallbacks_total"); err != nil || n != 0 {
			t.Errorf("%v checks met the fallback (%v)", n, err)
		}
	}
	if len(log) == 0 || orders == 0 {
		t.Fatalf("%d checks, %v orders", len(log), orders)
	}
	t.Logf("%d checks, %.3f round trips a check, %.1f %% answered without one", len(log), orders/float64(len(log)), 100*leased/float64(len(log)))
	audit(t, log, lease, least)
	return orders
}

func ask(t *testing.T, client authv3.AuthorizationClient, seed, keys uint64, begun time.Time) (log []event) {
	random := rand.New(rand.NewPCG(seed, 9))
	popular := rand.NewZipf(random, 1.2, 1, keys-1)
	for time.Since(begun) < *loadTime {
		e := event{key: int(popular.Uint64()), begun: time.Since(begun)}
		answer, err := client.Check(context.Background(), request(fmt.Sprintf("/k%d", e.key)))
		if err != nil {
			t.Error(err)
			return log
		}
		e.done, e.passed = time.Since(begun), answer.GetOkResponse() != nil
		if status := answer.GetDeniedResponse().GetStatus().GetCode(); !e.passed && status != 429 {
			t.Errorf("a check is answered with %d", status)
			return log
		}
		log = append(log, e)
	}
	return log
}

func request(path string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: "GET", Path: path, Host: "api.example.com", Scheme: "https", Protocol: "HTTP/1.1",
			Headers: map[string]string{":authority": "api.example.com", ":method": "GET", ":path": path, ":scheme": "https"},
		}},
	}}
}

// audit looks at the log of each key as a leaky bucket that drains at the quota's rate:
// its highest level is the largest excess of any interval. ideal is a bucket that lets
// pass whatever fits, with nothing to share.
func audit(t *testing.T, log []event, lease time.Duration, least float64) {
	slices.SortFunc(log, func(a, b event) int { return cmp.Compare(a.done, b.done) })
	var slowest time.Duration
	for _, e := range log {
		slowest = max(slowest, e.done-e.begun)
	}
	// A check is charged between its begin and its end, or up to one lease before.
	most := burst + perSecond*(lease+slowest).Seconds() + 1
	type bucket struct {
		level float64
		at    time.Duration
	}
	pour := func(b *bucket, at time.Duration) {
		b.level = max(b.level-(at-b.at).Seconds()*perSecond, 0) + 1
		b.at = at
	}
	real, ideal := map[int]*bucket{}, map[int]*bucket{}
	passed, possible, refused, fullest := 0, 0, 0, 0.0
	for _, e := range log {
		if real[e.key] == nil {
			real[e.key], ideal[e.key] = &bucket{}, &bucket{}
		}
		next := *ideal[e.key]
		if pour(&next, e.done); next.level <= burst {
			*ideal[e.key] = next
			possible++
		}
		if !e.passed {
			refused++
			continue
		}
		passed++
		b := real[e.key]
		pour(b, e.done)
		fullest = max(fullest, b.level/most)
		if b.level > most {
			t.Errorf("key %d: %.1f at once, at most %.1f", e.key, b.level, most)
		}
	}
	usable := float64(passed) / float64(possible)
	t.Logf("%d keys, %d refused, %.2f %% of the allowance used where it was wanted, fullest key at %.2f of its bound, slowest check %s", len(real), refused, 100*usable, fullest, slowest.Round(time.Millisecond))
	if usable < least {
		t.Errorf("only %.1f %% of the allowance is usable", 100*usable)
	}
	if refused == 0 {
		t.Log("no key met its limit: the machine was too busy for this test to mean much")
	}
}

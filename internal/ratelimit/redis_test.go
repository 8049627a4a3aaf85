package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"authz/internal/testbed"
)

// patient is a budget for machines that are busy with something else.
const patient = 20 * time.Second

var single = sync.OnceValues(func() (*testbed.Redis, error) { return testbed.StartRedis(context.Background()) })

func TestMain(m *testing.M) {
	code := m.Run()
	if r, err := single(); err == nil {
		_ = r.Stop()
	}
	os.Exit(code)
}

// redisStore is a fresh store (by its prefix) in the Redis that the tests share.
func redisStore(t *testing.T) *Redis {
	t.Helper()
	server, err := single()
	if err != nil && testing.Short() {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, RedisConfig{Addresses: []string{server.Addr}})
}

func connect(t *testing.T, c RedisConfig) *Redis {
	t.Helper()
	c.Prefix = fmt.Sprintf("t%x:", rand.Uint64())
	r, err := NewRedis(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// simulated is a store without leases that counts in the caller's time.
func simulated(t *testing.T, r *Redis) store {
	r.clock = true
	return newShared(r, SharedConfig{Budget: patient, Fallback: FallbackDeny})
}

func TestRedis(t *testing.T) {
	suite(t, func() store { return simulated(t, redisStore(t)) })
}

func TestRedisCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	nodes, err := testbed.StartRedisCluster(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, n := range nodes {
		defer n.Stop()
		addresses = append(addresses, n.Addr)
	}
	suite(t, func() store { return simulated(t, connect(t, RedisConfig{Mode: Cluster, Addresses: addresses})) })

	// The keys are spread, and a call whose keys are on different servers is all or none.
	for i, n := range nodes {
		if size, err := n.Command(t.Context(), "dbsize"); err != nil || size == "0" {
			t.Errorf("node %d has %s keys (%v)", i, size, err)
		}
	}
	s := newShared(connect(t, RedisConfig{Mode: Cluster, Addresses: addresses}), SharedConfig{Budget: patient, Fallback: FallbackDeny})
	narrow := limit("narrow", 1, time.Hour)
	take(t, s, start, Ask{Limit: narrow})
	for i := range 20 {
		wide := limit("wide", 100, time.Hour)
		wide.Key = []string{fmt.Sprint("user", i)}
		if v := take(t, s, start, Ask{Limit: wide}, Ask{Limit: narrow}); v.Allowed || v.Refused != 1 {
			t.Fatalf("got %+v", v)
		}
		if v := take(t, s, start, Ask{Limit: wide, Peek: true}); v.States[0].Remaining < 99 {
			t.Errorf("user %d has %d left: a refused call consumed", i, v.States[0].Remaining)
		}
	}
}

// The script and the arithmetic in Go are the same function: settle would say so. Here
// also what is given back and taken ahead is held against a model in Go.
func TestScriptAgainstModel(t *testing.T) {
	r := redisStore(t)
	r.clock = true
	m := newModel()
	random := rand.New(rand.NewPCG(5, 6))
	now := start
	for i := range 20_000 {
		now = now.Add(time.Duration(random.Int64N(int64(2 * time.Second))))
		var o order
		for k := range 1 + random.IntN(3) {
			key := orderKey{name: fmt.Sprintf("%sk%d", r.prefix, k*10+random.IntN(10)), keep: time.Hour}
			if random.IntN(3) == 0 {
				key.back = debt{random.Int64N(int64(5 * time.Second)), now.UnixNano() - random.Int64N(int64(3*time.Second))}
			}
			o.keys = append(o.keys, key)
		}
		for range random.IntN(4) {
			interval := 1 + random.Int64N(int64(time.Second))
			tolerance := interval * (1 + random.Int64N(40))
			if random.IntN(20) == 0 {
				interval, tolerance = 1+random.Int64N(50), math.MaxInt64/4
			}
			a := orderAsk{
				key: random.IntN(len(o.keys)), owes: interval * random.Int64N(4), tolerance: tolerance, interval: interval,
				peek: random.IntN(5) == 0, about: "a limit",
			}
			if random.IntN(2) == 0 {
				a.want = random.Int64N(30)
			}
			o.asks = append(o.asks, a)
		}
		want, _ := m.run(t.Context(), now, &o)
		got, err := r.run(t.Context(), now, &o)
		if err != nil {
			t.Fatalf("order %d, %+v: %v", i, o, err)
		}
		if len(got.ahead) == 0 {
			got.ahead = nil
		}
		for k := range got.had { // a debt that is paid may be forgotten
			if got.had[k] <= got.now {
				got.had[k] = 0
			}
			if want.had[k] <= want.now {
				want.had[k] = 0
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("order %d, %+v: got %+v, want %+v", i, o, got, want)
		}
	}
}

// Nothing of a caller is in the store, each key is one slot's, and goes when it owes
// nothing.
func TestKeysInRedis(t *testing.T) {
	r := redisStore(t)
	s := newShared(r, SharedConfig{Budget: patient})
	l := limit("log}in", 10, 10*time.Minute)
	l.Key = []string{"alice@example.com", "192.0.2.7"}
	take(t, s, time.Now(), Ask{Limit: l})
	keys, err := r.client.Keys(t.Context(), r.prefix+"*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys: %q, %v", keys, err)
	}
	// Behind the prefix, which is random: a hash and the limit's name, nothing else.
	if name := strings.TrimPrefix(keys[0], r.prefix); name != "{"+tag(l.Key)+"}log}in" {
		t.Errorf("key: %s", keys[0])
	}
	if value := r.client.Get(t.Context(), keys[0]).Val(); strings.Contains(keys[0]+value, "alice") || strings.Contains(value, "192.0") {
		t.Errorf("key %s, value %s", keys[0], value)
	}
	if left := r.client.PTTL(t.Context(), keys[0]).Val(); left < 50*time.Second || left > 63*time.Second {
		t.Errorf("it goes in %s, want the minute that it owes and two seconds", left)
	}
	if value := r.client.Get(t.Context(), keys[0]).Val(); !strings.HasSuffix(value, " 10 10m0s 10") {
		t.Errorf("value: %s", value)
	}
}

// Whatever stands in a key: no limit is switched off by it, and it goes.
func TestPoisonedKeys(t *testing.T) {
	r := redisStore(t)
	s := newShared(r, SharedConfig{Budget: patient, Fallback: FallbackLocal})
	for i, poison := range []string{"", "x", "-1.000000000 x", "1.5 x", "1e9.000000000 x", "99999999999.000000000 x", "1800000000.123456789", strings.Repeat("9", 400) + ".000000000 x", "nan", "\x00"} {
		l := limit("poisoned", 2, time.Minute)
		l.Key = []string{fmt.Sprint(i)}
		r.client.Set(t.Context(), r.name(&l), poison, 0)
		passed := 0
		for range 5 {
			if v := take(t, s, time.Now(), Ask{Limit: l}); v.Allowed && v.Fallback == FallbackLocal {
				passed++
			}
		}
		if passed != 2 {
			t.Errorf("%q: %d passed by the fallback, want 2", poison, passed)
		}
		if left := r.client.PTTL(t.Context(), r.name(&l)).Val(); left <= 0 || left > time.Minute {
			t.Errorf("%q stays for %s", poison, left)
		}
	}
	list := limit("list", 2, time.Minute)
	r.client.LPush(t.Context(), r.name(&list), "a")
	if _, err := newShared(r, SharedConfig{Budget: patient, Fallback: FallbackDeny}).Take(t.Context(), time.Now(), []Ask{{Limit: list}}); !errors.Is(err, ErrStore) || !errors.Is(err, errPoisoned) {
		t.Errorf("a list, deny: %v", err)
	}
	// A debt of centuries is a debt, but not for ever.
	far := limit("far", 2, time.Minute)
	r.client.Set(t.Context(), r.name(&far), "6000000000.000000000 x", 0)
	if v := take(t, s, time.Now(), Ask{Limit: far}); v.Allowed {
		t.Errorf("got %+v", v)
	}
	if left := r.client.PTTL(t.Context(), r.name(&far)).Val(); left <= 0 || left > time.Minute {
		t.Errorf("the far debt stays for %s", left)
	}
	if got := s.Stats(); got.Breaker != "closed" || got.Poisoned != 50 || got.Failures != 0 {
		t.Errorf("stats: %+v", got)
	}
}

func TestRedisConfig(t *testing.T) {
	for _, c := range []struct {
		config RedisConfig
		want   string
	}{
		{RedisConfig{}, "no addresses"},
		{RedisConfig{Addresses: []string{"a:1"}, Mode: "ring"}, `mode "ring"`},
		{RedisConfig{Addresses: []string{"a:1"}, Mode: Sentinel}, "master's name"},
		{RedisConfig{Addresses: []string{"a:1"}, Prefix: "{a}"}, "slot"},
	} {
		if _, err := NewRedis(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

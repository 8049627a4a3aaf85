package ratelimit

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	suite(t, func() store { return NewMemory(MemoryConfig{}) })
}

// The bound holds as well where nearly every key is folded at once.
func TestBoundWithoutRoom(t *testing.T) {
	for _, keys := range []int{1, 5, 20} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			m := NewMemory(MemoryConfig{MaxKeys: keys})
			boundHolds(t, m)
			if m.Stats().Evictions == 0 {
				t.Error("nothing was evicted: the test does not test")
			}
		})
	}
}

func each(name, key string) Limit {
	return Limit{Name: name, Key: []string{key}, Limit: 5, Burst: 5, Cost: 1, Window: time.Hour}
}

// A flood of new keys neither frees the key that is limited nor takes more memory
// than was allowed; the newcomers of another limit don't feel it, and afterwards
// nothing is left of it.
func TestFlood(t *testing.T) {
	const keys, flood = 10_000, 1_000_000
	m := NewMemory(MemoryConfig{MaxKeys: keys})
	victim := each("login", "victim")
	for take(t, m, start, Ask{Limit: victim}).Allowed {
	}
	before, refused, early := heap(), 0, 0
	for i := range flood {
		if !take(t, m, start, Ask{Limit: each("login", fmt.Sprint(i))}).Allowed {
			refused++
			if i < 4*keys {
				early++
			}
		}
		if i == 2*keys && !m.inTable(victim) {
			t.Error("the key that owes most was dropped")
		}
		if i%1000 == 0 && take(t, m, start, Ask{Limit: victim}).Allowed {
			t.Fatalf("the limited key was freed after %d new ones", i)
		}
	}
	grown := heap() - before
	stats := m.Stats()
	t.Logf("%d new keys in one window, room for %d: %d kept, %d evicted, %d refused for debts of others (%d of the first %d); the heap grew by %d KiB",
		flood, keys, stats.Keys, stats.Evictions, refused, early, 4*keys, grown>>10)
	if stats.Keys > keys {
		t.Errorf("%d keys in memory, want at most %d", stats.Keys, keys)
	}
	if grown > 64*keys {
		t.Errorf("the heap grew by %d bytes for %d keys", grown, keys)
	}
	if early > 4*keys/100 {
		t.Errorf("%d of the first %d newcomers were refused for debts of others", early, 4*keys)
	}
	for i := range 1000 {
		if !take(t, m, start, Ask{Limit: each("orders", fmt.Sprint(i))}).Allowed {
			t.Fatalf("newcomer %d of another limit is refused", i)
		}
	}
	later := start.Add(2 * time.Hour)
	if v := take(t, m, later, Ask{Limit: victim}); !v.Allowed || v.States[0].Remaining != 4 {
		t.Errorf("two hours later: %+v", v)
	}
}

func (m *Memory) inTable(l Limit) bool {
	d := m.digest(&l)
	s := m.shard(d)
	return s.entries[s.find(d)].tat != 0
}

// More names than sketches: the late ones share one, and each keeps its own for good.
func TestFamilies(t *testing.T) {
	m := NewMemory(MemoryConfig{})
	for range 2 {
		for i := range 20 {
			if got, want := m.family(fmt.Sprint(i)), uint64(min(i, families-1)); got != want {
				t.Errorf("name %d: got family %d, want %d", i, got, want)
			}
		}
	}
}

// A time of before the first call, or of no call that can be, grants no more.
func TestOddTimes(t *testing.T) {
	m := NewMemory(MemoryConfig{})
	l := each("a", "k")
	for take(t, m, start, Ask{Limit: l}).Allowed {
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0), start.Add(-48 * time.Hour), start} {
		if v := take(t, m, at, Ask{Limit: l}); v.Allowed {
			t.Errorf("at %s a spent limit passes", at)
		}
	}
	far := time.Unix(1<<60, 0)
	for range 5 {
		if v := take(t, m, far, Ask{Limit: l}); !v.Allowed {
			t.Error("at the end of time a paid-off limit is refused")
		}
	}
	if v := take(t, m, far, Ask{Limit: l}); v.Allowed {
		t.Error("at the end of time a spent limit passes")
	}
}

// heap is the memory in use, in bytes.
func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// BenchmarkKeys measures memory: n keys that all owe, and a flood of as many again.
func BenchmarkKeys(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				m := NewMemory(MemoryConfig{MaxKeys: n})
				ask := []Ask{{Limit: each("login", "")}}
				fill := func(from, to int) {
					for i := from; i < to; i++ {
						ask[0].Key[0] = fmt.Sprint(i)
						if _, err := m.Take(context.Background(), start, ask); err != nil {
							b.Fatal(err)
						}
					}
				}
				passes := func() bool {
					ask[0].Key[0] = "limited"
					v, err := m.Take(context.Background(), start, ask)
					if err != nil {
						b.Fatal(err)
					}
					return v.Allowed
				}
				for passes() { // until it is spent
				}
				fill(0, n)
				b.ReportMetric(float64(heap()-before)/float64(m.Stats().Keys), "B/key")
				fill(n, 2*n)
				if passes() {
					b.Fatal("the flood has freed the key that was limited")
				}
				b.ReportMetric(float64(heap()-before)/float64(m.Stats().Keys), "B/key-flooded")
				b.ReportMetric(float64(m.Stats().Keys), "keys")
			}
		})
	}
}

func BenchmarkTake(b *testing.B) {
	asks := func(key string) []Ask {
		return []Ask{
			{Limit: Limit{Name: "ip", Key: []string{key}, Limit: 1e9, Burst: 1e9, Cost: 1, Window: time.Minute}},
			{Limit: Limit{Name: "user", Key: []string{"alice", key}, Limit: 1e9, Burst: 1e9, Cost: 1, Window: time.Minute}},
		}
	}
	run := func(b *testing.B, m *Memory, asks []Ask) {
		if _, err := m.Take(context.Background(), start, asks); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one key", func(b *testing.B) {
		m, asks := NewMemory(MemoryConfig{}), asks("203.0.113.7")
		b.ReportAllocs()
		for b.Loop() {
			run(b, m, asks)
		}
	})
	many := make([][]Ask, 100_000)
	for i := range many {
		many[i] = asks(fmt.Sprint(i))
	}
	b.Run("100,000 keys", func(b *testing.B) {
		m := NewMemory(MemoryConfig{})
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			run(b, m, many[i%len(many)])
		}
	})
	b.Run("flooded", func(b *testing.B) {
		m := NewMemory(MemoryConfig{MaxKeys: 10_000})
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			run(b, m, many[i%len(many)])
		}
	})
}

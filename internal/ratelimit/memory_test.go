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

// The bound holds even in a store that has no room at all.
func TestMemoryWithoutRoom(t *testing.T) {
	m := NewMemory(MemoryConfig{MaxKeys: 1})
	log := map[string]int{}
	for i := range 3000 {
		name := fmt.Sprint(i % 50)
		l := Limit{Name: name, Limit: 3, Burst: 3, Cost: 1, Window: time.Hour}
		if take(t, m, start, Ask{Limit: l}).Allowed {
			log[name]++
		}
	}
	for name, n := range log {
		if n > 3 {
			t.Errorf("key %s passed %d times, want at most 3", name, n)
		}
	}
	if m.Stats().Evictions == 0 {
		t.Error("nothing was evicted: the test does not test")
	}
}

// A flood of new keys neither frees the key that is limited nor takes more memory
// than was allowed, and a newcomer can still get in.
func TestFlood(t *testing.T) {
	const keys, flood = 10_000, 1_000_000
	m := NewMemory(MemoryConfig{MaxKeys: keys})
	victim := Limit{Name: "login", Key: []string{"victim"}, Limit: 5, Burst: 5, Cost: 1, Window: time.Hour}
	for take(t, m, start, Ask{Limit: victim}).Allowed {
	}
	var before, after runtime.MemStats
	refused, early := 0, 0
	for i := range flood {
		l := Limit{Name: "login", Key: []string{fmt.Sprint(i)}, Limit: 5, Burst: 5, Cost: 1, Window: time.Hour}
		if !take(t, m, start, Ask{Limit: l}).Allowed {
			refused++
			if i < 4*keys {
				early++
			}
		}
		if i == 2*keys {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		if i%1000 == 0 && take(t, m, start, Ask{Limit: victim}).Allowed {
			t.Fatalf("the limited key was freed after %d new ones", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	stats := m.Stats()
	if stats.Keys > keys {
		t.Errorf("%d keys in memory, want at most %d", stats.Keys, keys)
	}
	if early > 4*keys/100 {
		t.Errorf("%d of the first %d newcomers refused for debts of others", early, 4*keys)
	}
	t.Logf("%d new keys in one window: %d kept, %d evicted, %d refused (%d of the first 40,000), heap %+d KiB after the table was full", flood, stats.Keys, stats.Evictions, refused, early,
		(int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("the heap grew by %d bytes while the table was full", grown)
	}
	// Once debts are paid off, the places are free again and nothing is remembered.
	later := start.Add(2 * time.Hour)
	if v := take(t, m, later, Ask{Limit: victim}); !v.Allowed || v.States[0].Remaining != 4 {
		t.Errorf("two hours later: %+v", v)
	}
}

func BenchmarkTake(b *testing.B) {
	m := NewMemory(MemoryConfig{})
	asks := []Ask{
		{Limit: Limit{Name: "ip", Key: []string{"203.0.113.7"}, Limit: 1e9, Burst: 1e9, Cost: 1, Window: time.Minute}},
		{Limit: Limit{Name: "user", Key: []string{"alice"}, Limit: 1e9, Burst: 1e9, Cost: 1, Window: time.Minute}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Take(context.Background(), start, asks); err != nil {
			b.Fatal(err)
		}
	}
}

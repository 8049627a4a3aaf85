package ratelimit

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The table against a map: what is in it is what was put in, what was dropped owes
// nothing, and what was folded is never remembered as less.
func TestShard(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, most := range []int{1, 2, 7, 100, 1000} {
		s := &shard{max: most}
		model := map[digest]int64{}
		now := int64(time.Hour)
		for range 50_000 {
			now += random.Int64N(int64(time.Second) / 10)
			s.latest = now
			// Few different homes, so that searches are long and wrap around.
			d := digest{random.Uint64N(64) << 58, random.Uint64N(2 * uint64(most))}
			if got := s.load(d); got < model[d] && got < now-grace {
				t.Fatalf("at most %d: a key owes %d and is remembered with %d at %d", most, model[d], got, now)
			}
			tat := max(s.load(d), now) + 1 + random.Int64N(int64(time.Minute))
			s.store(d, tat)
			model[d] = tat
		}
		count := 0
		for i := range s.entries {
			e := s.entries[i]
			if e.tat == 0 {
				continue
			}
			count++
			if s.find(e.key) != i {
				t.Fatalf("at most %d: the entry in slot %d is found in %d", most, i, s.find(e.key))
			}
			if e.tat != model[e.key] {
				t.Fatalf("at most %d: an entry holds %d, not %d", most, e.tat, model[e.key])
			}
		}
		if count != s.count || count > most || len(s.entries) > s.slots() {
			t.Errorf("at most %d: %d entries in %d slots, counted as %d", most, count, len(s.entries), s.count)
		}
		if s.evictions == 0 && most < 100 {
			t.Errorf("at most %d: nothing was evicted: the test does not test", most)
		}
	}
}

// Keys that are paid off make place as new ones come, long before the table is full.
func TestSweep(t *testing.T) {
	const newKeys, apart, debt = 200_000, int64(time.Millisecond), int64(time.Second)
	s := &shard{max: newKeys}
	random := rand.New(rand.NewPCG(7, 8))
	for i := range int64(newKeys) {
		s.latest = int64(time.Hour) + i*apart
		s.store(digest{random.Uint64(), random.Uint64()}, s.latest+debt)
	}
	alive := int((grace + debt) / apart)
	if s.count > 2*alive || s.evictions > 0 {
		t.Errorf("%d entries and %d evictions where %d entries are alive", s.count, s.evictions, alive)
	}
	if s.floor > s.latest-grace {
		t.Errorf("floor %d is above what a late request may see at %d", s.floor, s.latest)
	}
}

// Where all owe, the one that owes least goes, be it the newcomer.
func TestMakeRoom(t *testing.T) {
	s := &shard{max: sampled, latest: int64(time.Hour)}
	random := rand.New(rand.NewPCG(9, 10))
	key := map[int64]digest{}
	for _, debt := range []int64{70, 20, 50, 10, 80, 30, 60, 40, 5, 90} {
		key[debt] = digest{random.Uint64(), random.Uint64()}
		s.store(key[debt], s.latest+debt)
	}
	for debt, d := range key {
		kept := s.entries[s.find(d)].tat != 0
		if want := debt > 10; kept != want {
			t.Errorf("the key that owes %d: kept %v, want %v", debt, kept, want)
		}
		if got := s.load(d) - s.latest; got < debt {
			t.Errorf("the key that owes %d is remembered with %d", debt, got)
		}
	}
	if s.evictions != 2 {
		t.Errorf("%d evictions, want 2", s.evictions)
	}
}

// What is folded is never remembered as less, and few others pay for it.
func TestSketch(t *testing.T) {
	const slots = 1000
	var s sketch
	random := rand.New(rand.NewPCG(11, 12))
	key := func() digest { return digest{random.Uint64(), random.Uint64()} }
	if s.owed(key()) != 0 {
		t.Error("an empty sketch remembers something")
	}
	tats := map[digest]int64{}
	for range slots {
		d := key()
		tats[d] = 1 + random.Int64N(100)
		s.fold(d, tats[d], slots)
	}
	for d, tat := range tats {
		if s.owed(d) < tat {
			t.Fatalf("%d is remembered as %d", tat, s.owed(d))
		}
	}
	strangers := 0
	for range slots {
		if s.owed(key()) > 0 {
			strangers++
		}
	}
	// Both slots of a stranger are taken with probability (1-1/e)² = 0.40.
	if strangers < slots/3 || strangers > slots/2 {
		t.Errorf("%d of %d strangers owe something", strangers, slots)
	}
}

package ratelimit

import "math/bits"

// sketch remembers what dropped keys owed, in fixed memory: two rows of slots, each
// keeping the latest TAT that fell into it. A key falls into one slot of each row;
// both hold at least its TAT, so the earlier of the two is never too early.
//
// Its zero value remembers nothing and takes no memory.
type sketch struct{ rows [2][]int64 }

func (s *sketch) fold(d digest, tat int64, slots int) {
	if s.rows[0] == nil {
		s.rows = [2][]int64{make([]int64, slots), make([]int64, slots)}
	}
	a, b := s.slots(d)
	*a, *b = max(*a, tat), max(*b, tat)
}

// owed is the earliest TAT that a key not in the table can have had, or 0.
func (s *sketch) owed(d digest) int64 {
	if s.rows[0] == nil {
		return 0
	}
	a, b := s.slots(d)
	return min(*a, *b)
}

// slots picks by bits that the table does not place its entries by.
func (s *sketch) slots(d digest) (a, b *int64) {
	n := uint64(len(s.rows[0]))
	i, _ := bits.Mul64(bits.RotateLeft64(d[0], 32), n)
	j, _ := bits.Mul64(d[1], n)
	return &s.rows[0][i], &s.rows[1][j]
}

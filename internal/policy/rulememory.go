package policy

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A decision about a caller who was never seen is not remembered, but most rules ask
// nothing about who calls: their values are, one by one, each under what was read to
// work it out, its own rules' reading included. OPA asks for the value of a rule before
// it evaluates it, and tells it afterwards (topdown.VirtualCache); that is where they
// are handed over.

// ruleMemoryShare is how much there has to be to remember in, in octets, for each group
// of rules and route of which the shapes are noted.
const ruleMemoryShare = 2048

// A group whose values are hardly ever asked for again is let be, but for one evaluation
// in ruleRetry.
const (
	ruleCredit    = 64
	maxRuleCredit = 1024
	ruleRetry     = 64
)

// ruleMemory is what is known of a group of rules for one route.
type ruleMemory struct {
	shapes atomic.Pointer[[]shape]
	mu     sync.Mutex // one shape is added at a time
	credit atomic.Int64
	turn   atomic.Uint64
}

// ruleValue is the value of a rule; a nil term says that it is undefined.
type ruleValue struct {
	term *ast.Term
	size int64
}

func (m *ruleMemory) worthwhile() bool {
	return m.credit.Load() > 0 || m.turn.Add(1)%ruleRetry == 0
}

func (m *routeMemory) rule(group int) *ruleMemory {
	rules := m.rules.Load()
	if rules == nil {
		return nil
	}
	return (*rules)[group].Load()
}

// learnRule is rule, of which there will be one from now on. Nil: there is no room.
func (d *decisionCache) learnRule(m *routeMemory, group int) *ruleMemory {
	if known := m.rule(group); known != nil {
		return known
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.rule(group); known != nil {
		return known
	}
	if d.room.Add(-1) < 0 {
		d.room.Add(1)
		return nil
	}
	if m.rules.Load() == nil {
		list := make([]atomic.Pointer[ruleMemory], len(d.readings.groups.heads))
		m.rules.Store(&list)
	}
	known := &ruleMemory{}
	known.credit.Store(ruleCredit)
	(*m.rules.Load())[group].Store(known)
	return known
}

// writeRule makes the key of a group's value. It begins with an odd octet, that of a
// decision with an even one: the length of a text.
func (d *decisionCache) writeRule(k *key, group, index int, s shape) bool {
	k.buf, k.opaque = k.buf[:0], false
	k.number(-1 - group)
	return d.writeRest(k, index, s)
}

// ruleCache stands in for OPA's own cache in one evaluation. What it does not keep, and
// all that is evaluated below a with, is left to OPA's.
type ruleCache struct {
	topdown.VirtualCache
	below    int // how many with there are around
	cache    *decisionCache
	memory   *routeMemory
	key      *key
	recorder *recorder // nil where nothing is to be learned
	values   []heldValue
}

// heldValue is the value of a group in this evaluation.
type heldValue struct {
	term  *ast.Term
	state byte
}

const (
	valueUnknown = iota
	valueMade
	valueRecalled
)

func newRuleCache(d *decisionCache, m *routeMemory, k *key, r *recorder) *ruleCache {
	return &ruleCache{VirtualCache: topdown.NewVirtualCache(), cache: d, memory: m, key: k, recorder: r,
		values: make([]heldValue, len(d.readings.groups.heads))}
}

func (c *ruleCache) use(q *topdown.Query) { q.WithVirtualCache(c) }

// Push implements topdown.VirtualCache: with begins.
func (c *ruleCache) Push() { c.below++; c.VirtualCache.Push() }

// Pop implements topdown.VirtualCache.
func (c *ruleCache) Pop() { c.below--; c.VirtualCache.Pop() }

func (c *ruleCache) group(ref ast.Ref) int {
	if c.below > 0 {
		return -1
	}
	return c.cache.readings.groups.find(ref)
}

// Get implements topdown.VirtualCache.
func (c *ruleCache) Get(ref ast.Ref) (*ast.Term, bool) {
	group := c.group(ref)
	if group < 0 {
		return c.VirtualCache.Get(ref)
	}
	v := &c.values[group]
	if v.state == valueUnknown && !c.recall(group, v) {
		return nil, false
	}
	return v.term, v.term == nil
}

// Put implements topdown.VirtualCache.
func (c *ruleCache) Put(ref ast.Ref, value *ast.Term) {
	group := c.group(ref)
	if group < 0 {
		c.VirtualCache.Put(ref, value)
		return
	}
	c.values[group] = heldValue{value, valueMade}
}

func (c *ruleCache) recall(group int, v *heldValue) bool {
	known := c.memory.rule(group)
	if known == nil {
		return false
	}
	shapes := known.shapes.Load()
	if shapes == nil || !known.worthwhile() {
		return false
	}
	for i, s := range *shapes {
		if !c.cache.writeRule(c.key, group, i, s) {
			continue
		}
		e := c.cache.store.get(c.key.hash(), c.key.buf)
		if e == nil {
			continue
		}
		c.cache.counts.recalled.Add(1)
		if known.credit.Load() < maxRuleCredit {
			known.credit.Add(2)
		}
		if c.recorder != nil {
			c.recorder.recalled(group, s)
		}
		*v = heldValue{e.rule.term, valueRecalled}
		return true
	}
	return false
}

// keep remembers the values that this evaluation made. It must have come to its end: OPA
// tells a value before it knows that no other rule contradicts it.
func (c *ruleCache) keep() {
	r, groups := c.recorder, c.cache.readings.groups
	if r.stranger || groups.circle || c.key.subject.r.HTTP.Method == "" {
		return
	}
	r.settle()
	for group := range c.values {
		if c.values[group].state != valueMade || r.groups[group].reason != "" {
			continue
		}
		known := c.cache.learnRule(c.memory, group)
		if known == nil || !known.worthwhile() {
			continue
		}
		known.credit.Add(-1)
		reads := r.list(r.groups[group].reads)
		if c.cache.unshared(reads) == "" {
			c.keepRule(known, group, reads)
		}
	}
}

func (c *ruleCache) keepRule(m *ruleMemory, group int, reads shape) {
	index := known(&m.mu, &m.shapes, reads)
	if index < 0 || !c.cache.writeRule(c.key, group, index, (*m.shapes.Load())[index]) {
		return
	}
	value := &ruleValue{size: 64}
	if made := c.values[group].term; made != nil {
		if value.term = value.copy(made); value.size > maxRuleValue {
			return
		}
	}
	c.cache.store.put(&entry{key: slices.Clone(c.key.buf), hash: c.key.hash(), rule: value})
}

// maxRuleValue is the size of a value that is still remembered.
const maxRuleValue = 16 << 10

// copy is a value of its own: the texts of one that was evaluated may be parts of a
// request. It counts what it takes, and stops at what is too large or is no plain value.
func (v *ruleValue) copy(t *ast.Term) *ast.Term {
	if v.size += 64; v.size > maxRuleValue {
		return t
	}
	switch x := t.Value.(type) {
	case ast.Null, ast.Boolean:
		return ast.NewTerm(x)
	case ast.String:
		v.size += int64(len(x))
		return ast.NewTerm(ast.String(strings.Clone(string(x))))
	case ast.Number:
		v.size += int64(len(x))
		return ast.NewTerm(ast.Number(strings.Clone(string(x))))
	case *ast.Array:
		items := make([]*ast.Term, 0, x.Len())
		x.Foreach(func(item *ast.Term) { items = append(items, v.copy(item)) })
		return ast.ArrayTerm(items...)
	case ast.Set:
		items := make([]*ast.Term, 0, x.Len())
		x.Foreach(func(item *ast.Term) { items = append(items, v.copy(item)) })
		v.size += int64(x.Len()) * 64
		return ast.SetTerm(items...)
	case ast.Object:
		items := make([][2]*ast.Term, 0, x.Len())
		x.Foreach(func(name, item *ast.Term) { items = append(items, ast.Item(v.copy(name), v.copy(item))) })
		v.size += int64(x.Len()) * 128
		return ast.ObjectTerm(items...)
	}
	v.size = maxRuleValue + 1
	return t
}

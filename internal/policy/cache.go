package policy

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"authz/internal/check"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// A decision is a function of what the policy reads of the input. While a route is
// being learned, its evaluations are recorded (recorder); what one read is its
// shape, and the values at those places are the key under which its decision is
// kept. A request is looked up under each shape that its route has shown. No
// decision outlives its policy or its data: all of it hangs on one compiled.
type decisionCache struct {
	readings *readings
	routes   map[string]*routeMemory // by id; "" for what no row matches
	store    *store
	counts   *cacheCounts
	room     atomic.Int64    // for more ruleMemories
	missed   []atomic.Uint32 // what stands for keys that were not found lately, by their hash
}

// Bounds of a route.
const (
	maxShapes = 6
	// trialSize is how many requests are looked up before a route is judged; one in
	// worthwhile of them has to be found, or the route is left alone for a pause.
	trialSize  = 512
	worthwhile = 20
	// hopeless is how many evaluations are recorded that read what no two requests share
	// (a body, a time), while nothing is found.
	hopeless   = 16
	firstPause = 4096
	// recordedOnce: of so many decisions that were not missed before, one is recorded.
	recordedOnce = 8
	// missedShare is how much there has to be to remember in, in octets, for each key whose
	// miss is noted.
	missedShare = 256
	lastPause   = 1 << 20
)

// routeMemory is what is known of one route.
type routeMemory struct {
	shapes atomic.Pointer[[]shape]
	mu     sync.Mutex // one shape is added at a time

	asked, found atomic.Int64 // of the trial under way
	alone        atomic.Int64 // decisions met in it that no other request can share
	pause        atomic.Int64 // requests that are still let by
	nextPause    atomic.Int64
	reason       atomic.Pointer[string] // why decisions are not kept; the last one met

	rules atomic.Pointer[[]atomic.Pointer[ruleMemory]] // by group
}

// shape is what some evaluations of a route read: a list of readings.reads.
type shape []int

func newDecisionCache(c *compiled, s *settings, counts *cacheCounts) *decisionCache {
	if s.CacheBytes == 0 {
		return nil
	}
	d := &decisionCache{
		readings: newReadings(c.compiler, s.decision),
		routes:   map[string]*routeMemory{"": {}},
		store:    newStore(s.CacheBytes, counts),
		counts:   counts,
	}
	if d.readings.off != "" {
		return nil
	}
	d.room.Store(s.CacheBytes / ruleMemoryShare)
	d.missed = make([]atomic.Uint32, s.CacheBytes/missedShare+1)
	for _, id := range c.routes.ids() {
		d.routes[id] = &routeMemory{}
	}
	return d
}

// Cached returns the decision for a request if it is remembered. It does not
// evaluate, wait or start anything, so that it may be called where others wait. The
// Result is shared with every request of the same decision: read only.
//
// The token is taken as the verifier left it, which has to look at its expiry for
// every request.
func (e *Engine) Cached(r *check.Request, token *check.Token) (*Result, bool) {
	policy := e.current.Load()
	if policy == nil || policy.cache == nil || r.HTTP.Method == "" {
		return nil, false
	}
	k := takeKey(r, token, policy.routes)
	result, ok := policy.cache.find(k)
	k.release()
	return result, ok
}

func (d *decisionCache) find(k *key) (*Result, bool) {
	memory := d.routes[k.subject.routeID()]
	if memory == nil || memory.pause.Load() > 0 {
		return nil, false
	}
	shapes := memory.shapes.Load()
	if shapes == nil {
		return nil, false
	}
	for i, s := range *shapes {
		if !d.write(k, i, s) {
			continue
		}
		e := d.store.get(k.hash(), k.buf)
		if e == nil {
			continue
		}
		result, ok := e.charged(&k.subject)
		if ok {
			d.counts.hits.Add(1)
			memory.found.Add(1)
		}
		return result, ok
	}
	return nil, false
}

// write makes the key of a request for a shape. Every key begins with the route, the
// shape and the status of the token.
func (d *decisionCache) write(k *key, index int, s shape) bool {
	k.buf, k.opaque = k.buf[:0], false
	return d.writeRest(k, index, s)
}

func (d *decisionCache) writeRest(k *key, index int, s shape) bool {
	k.text(k.subject.routeID())
	if k.subject.row == nil {
		k.mark(markUndefined)
	}
	k.buf = binary.AppendUvarint(k.buf, uint64(index))
	k.text(string(k.subject.token.Status))
	for _, i := range s {
		d.readings.reads[i].put(k)
	}
	return !k.opaque && len(k.buf) <= maxKey
}

// route is the memory of a route; nil where nothing is remembered.
func (d *decisionCache) route(id string) *routeMemory {
	if d == nil {
		return nil
	}
	return d.routes[id]
}

// learning says whether the next evaluation is to be recorded, and judges the route
// now and then.
func (m *routeMemory) learning() bool {
	if m == nil {
		return false
	}
	if m.pause.Load() > 0 {
		m.pause.Add(-1)
		return false
	}
	missed := m.asked.Add(1)
	if missed < trialSize {
		return true
	}
	found := m.found.Swap(0)
	m.asked.Store(0)
	m.alone.Store(0)
	if found*worthwhile < missed {
		m.rest("hardly two requests are alike")
		return false
	}
	m.nextPause.Store(0)
	return true
}

// again says whether the decision about a request was missed before: recording costs
// more than evaluating, and most of those who come once do not come twice. Of the others
// some are recorded for what their rules read.
func (d *decisionCache) again(k *key, m *routeMemory) bool {
	d.counts.misses.Add(1)
	shapes := m.shapes.Load()
	if shapes == nil || m.asked.Load()%recordedOnce == 0 {
		return true
	}
	seen := false
	for i, s := range *shapes {
		if d.write(k, i, s) {
			hash := k.hash()
			mark := uint32(hash>>32) | 1
			seen = d.missed[hash%uint64(len(d.missed))].Swap(mark) == mark || seen
		}
	}
	return seen
}

// giveUp notes a decision that no other request can share, and leaves the route alone
// if it has hardly any others.
func (m *routeMemory) giveUp(why string) {
	if m.alone.Add(1) <= hopeless || m.found.Load() > 0 {
		m.reason.Store(&why)
		return
	}
	m.asked.Store(0)
	m.alone.Store(0)
	m.rest(why)
}

// rest leaves the route alone for a number of requests, longer each time.
func (m *routeMemory) rest(why string) {
	next := min(max(firstPause, m.nextPause.Load()*4), lastPause)
	m.nextPause.Store(next)
	m.pause.Store(next)
	m.reason.Store(&why)
}

var unfinishedWhy = "a rule may have other values than its first"

// record evaluates, notes what the evaluation reads and keeps the decision. Again:
// what came out says nothing, the policy has to be asked without recording. An
// error or an evaluation that is too long is one of the recording, which evaluates
// rules that an index would have left out.
func (c *compiled) record(ctx context.Context, cancel topdown.Cancel, k *key, input ast.Value, m *routeMemory) (result *Result, again bool, err error) {
	own := topdown.NewCancel()
	stop := context.AfterFunc(ctx, own.Cancel)
	defer stop()
	recorder := newRecorder(c.cache.readings, own)
	rules := newRuleCache(c.cache, m, k, recorder)
	value, err := c.evaluate(ctx, own, input, recordedBy(recorder), rules.use)
	switch {
	case cancel.Cancelled() || ctx.Err() != nil:
		return nil, false, errors.Join(err, ctx.Err())
	case recorder.heavy:
		m.rest("evaluating takes too many steps to record")
		return nil, true, nil
	case err != nil:
		return nil, true, nil
	case recorder.unfinished():
		m.reason.Store(&unfinishedWhy)
		return nil, true, nil
	}
	result, refs, err := decodeRefs(value, input)
	if err != nil {
		return nil, false, err
	}
	rules.keep()
	result.Route, result.Revision = k.subject.routeID(), c.revision
	if recorder.reason != "" {
		m.reason.Store(&recorder.reason)
		return result, false, nil
	}
	c.cache.keep(k, m, recorder.reads(), result, refs)
	return result, false, nil
}

// keep remembers a decision under what its evaluation read.
func (d *decisionCache) keep(k *key, m *routeMemory, reads shape, result *Result, refs []quotaRef) {
	if k.subject.r.HTTP.Method == "" {
		return
	}
	if name := d.unshared(reads); name != "" {
		m.giveUp("reads " + name)
		return
	}
	index := known(&m.mu, &m.shapes, reads)
	if index < 0 || !d.write(k, index, (*m.shapes.Load())[index]) {
		return
	}
	e := &entry{key: slices.Clone(k.buf), hash: k.hash(), quotas: refs}
	for i := range e.quotas {
		if !e.quotas[i].bind() {
			why := "counts by " + e.quotas[i].path
			m.reason.Store(&why)
			return
		}
	}
	e.result = copyResult(result)
	e.result.Kept = new(atomic.Value)
	d.store.put(e)
}

// unshared names something among what was read that no two requests share, whatever
// the route.
func (d *decisionCache) unshared(reads shape) string {
	for _, i := range reads {
		if r := &d.readings.reads[i]; r.varies(nil) && r.varies(&row{}) {
			return r.name
		}
	}
	return ""
}

// known is the place of a shape among those in a list; it is added if it is new and
// there is room. One that reads more serves as well. -1: there is none.
func known(mu *sync.Mutex, shapes *atomic.Pointer[[]shape], reads shape) int {
	mu.Lock()
	defer mu.Unlock()
	var list []shape
	if before := shapes.Load(); before != nil {
		list = *before
	}
	if i := slices.IndexFunc(list, func(s shape) bool { return slices.Equal(s, reads) }); i >= 0 {
		return i
	}
	if len(list) < maxShapes {
		list = append(slices.Clone(list), reads)
		shapes.Store(&list)
		return len(list) - 1
	}
	return slices.IndexFunc(list, func(s shape) bool {
		return !slices.ContainsFunc(reads, func(i int) bool { return !slices.Contains(s, i) })
	})
}

package authz

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
	"unsafe"

	"authz/internal/check"
	"authz/internal/policy"
)

func (a *Authorizer) begin(r *check.Request) *course {
	c := &course{Authorizer: a, request: r, start: a.now()}
	c.describe()
	return c
}

// describe notes what the record says of the request itself.
func (c *course) describe() {
	r := c.request
	c.record.PolicyPath = c.path
	c.record.RequestID = r.ID
	c.record.Method = r.HTTP.Method
	c.record.Host = r.HTTP.Host
	c.record.HTTPPath = r.HTTP.Path
	c.record.RequestedBy = r.Client.IP
}

// lap is the time since the request came in.
func (c *course) lap() time.Duration { return c.now().Sub(c.start) }

func (c *course) noteToken(t *check.Token) {
	c.record.TokenStatus = string(t.Status)
	c.record.TokenError = t.Error
	c.record.TokenVia = t.Via
	c.record.Subject = t.Subject
	c.record.Issuer = t.Issuer
}

func (c *course) noteResult(r *policy.Result) {
	c.record.Route = r.Route
	c.record.Revision = r.Revision
}

// finish names the decision, records it and lets it go. Every decision passes here.
// Its name is written into space.
func (a *Authorizer) finish(c *course, d *Decision, space []byte) {
	d.ID = newID(space)
	d.RequestID = c.request.ID
	if d.RequestID == "" {
		d.RequestID = d.ID
	}
	c.stages.Total = c.lap()

	if a.audit.On() {
		c.record.Time = c.start
		c.record.DecisionID = d.ID
		c.record.Outcome = d.Outcome.String()
		c.record.Allowed = d.Outcome == Allowed
		c.record.Status = d.Status
		c.record.Reasons = d.recorded()
		c.record.Durations.Token = c.stages.Token
		c.record.Durations.Policy = c.stages.Policy
		c.record.Durations.Quota = c.stages.Quota
		c.record.Durations.Total = c.stages.Total
		a.audit.Record(c.record)
	}
	seen := Observation{Outcome: d.Outcome, Reasons: d.Reasons, Route: c.record.Route, Quotas: d.Quotas, Shadows: d.Shadows, Stages: c.stages}
	if d.Spent >= 0 {
		seen.Spent = d.Quotas[d.Spent].Name
	}
	a.observe(seen)
}

// newID is a random UUID (RFC 9562, version 4), in the 36 bytes of space. It has to be
// unique, not secret; the runtime's generator is ChaCha8 seeded by the system.
func newID(space []byte) string {
	hi, lo := rand.Uint64(), rand.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], hi)
	binary.BigEndian.PutUint64(raw[8:], lo)
	from, to := raw[:], space[:0]
	for _, n := range [...]int{4, 2, 2, 2, 6} {
		if len(to) > 0 {
			to = append(to, '-')
		}
		to = hex.AppendEncode(to, from[:n])
		from = from[n:]
	}
	return unsafe.String(unsafe.SliceData(to), len(to)) //nolint:gosec // written once, by who was given the space
}

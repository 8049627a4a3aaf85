package extauthz

import (
	"sync"

	"authz/internal/authz"
	"authz/internal/check"
)

// Quick is Decide for a request whose answer is at hand; where it says no, nothing has
// happened yet. It keeps nothing of the request, and its decision lasts as long as
// nobody else uses space.
type Quick func(r *check.Request, space *authz.Space) (*authz.Decision, bool)

// inline answers a check on the spot, from the message as it lies in the transport's
// buffer, if the answer is at hand. Everything else takes the long way, from the
// beginning: a request that is malformed, a panic, an answer that can't be sent.
func (s *Server) inline(message []byte, a address, out []byte) (reply []byte, ok bool) {
	room := rooms.Get().(*room) //nolint:forcetypeassert // nothing else is put there
	d := &room.described
	defer func() {
		if p := recover(); p != nil {
			// Decide meets it again, and knows what to do.
			reply, ok = nil, false
			return
		}
		d.clear()
		room.space.Forget()
		rooms.Put(room)
	}()
	if len(message) > s.config.MaxMessageBytes || !s.reader.readMessage(d, message) {
		return nil, false
	}
	d.unsorted = true
	r := s.reader.judge(d)
	a.resolve(r)
	if r.Fault != nil {
		return nil, false
	}
	decision, ok := s.config.Quick(r, &room.space)
	if !ok {
		return nil, false
	}
	reply, err := s.writer.append(out, decision, r)
	if err != nil {
		// It is recorded as it was decided; what is sent is recorded as well.
		return append(out, s.unsendable(decision, r, err).bytes()...), true
	}
	return reply, true
}

// room is for a request that is read and forgotten, and for its decision.
type room struct {
	described
	space authz.Space
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// clear forgets a request and keeps its room.
func (d *described) clear() {
	raw := d.request.HTTP.HeaderMap
	clear(raw)
	clear(d.plain)
	clear(d.joined)
	clear(d.segments)
	*d = described{plain: d.plain[:0], joined: d.joined[:0], segments: d.segments[:0]}
	d.request.HTTP.HeaderMap = raw[:0]
}

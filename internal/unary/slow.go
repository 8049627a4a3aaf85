package unary

import (
	"context"
	"errors"
	"runtime/debug"
)

// job is a slow call on its way: to a worker, and back to its connection. It knows its
// stream by id only.
type job struct {
	c       *conn
	stream  uint32
	head    *head
	ctx     context.Context
	cancel  context.CancelFunc
	message []byte
	charge  int64
	reply   []byte
}

// submit gives a call to the workers, or refuses it where they have too much to do.
func (c *conn) submit(st *stream, message []byte, own bool) {
	s := c.server
	if !own {
		message = append(make([]byte, 0, len(message)), message...)
	}
	within := s.config.CallTimeout
	if t := st.head.timeout; t > 0 {
		within = min(within, t)
	}
	j := &job{c: c, stream: st.id, head: st.head, message: message, charge: int64(len(message))}
	j.ctx, j.cancel = context.WithTimeout(c.ctx, within)
	select {
	case s.jobs <- j:
	default:
		j.cancel()
		c.overload(st, message)
		return
	}
	s.employ()
	st.cancel = j.cancel
	c.buffer(j.charge - st.charge)
	st.charge, st.message = 0, nil
}

// overload answers a call for which there is no room.
func (c *conn) overload(st *stream, message []byte) {
	c.server.overload.Add(1)
	reply := c.server.overloaded(message)
	if len(reply) == 0 {
		c.reply(st, statusUnavailable)
		return
	}
	c.send(st, reply)
}

// employ starts a worker if none is free and there may be one more. Workers stay: a
// goroutine that has grown its stack once is worth keeping.
func (s *Server) employ() {
	// Free workers less calls that wait: a worker counts itself, a call takes one off.
	if s.idle.Add(-1) >= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers < s.config.Workers {
		s.workers++
		go s.work()
	}
}

func (s *Server) work() {
	for {
		s.idle.Add(1)
		select {
		case j := <-s.jobs:
			s.run(j)
		case <-s.stopped:
			return
		}
	}
}

// run answers a slow call. Where nobody waits any more, it isn't begun; where only its
// time is up, the handler has the word.
func (s *Server) run(j *job) {
	if !errors.Is(j.ctx.Err(), context.Canceled) {
		j.reply = s.slow(j)
	}
	j.cancel()
	c := j.c
	c.doneMu.Lock()
	c.done = append(c.done, j)
	c.doneMu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (s *Server) slow(j *job) (reply []byte) {
	defer func() {
		if p := recover(); p != nil {
			reply = nil
			s.panicked(j.head.method, p)
		}
	}()
	return j.head.method.slow(j.ctx, j.message, Metadata{j.head})
}

// takeDone answers the slow calls that are done. One whose stream is gone has only
// its place to give back.
func (c *conn) takeDone() {
	c.doneMu.Lock()
	done := c.done
	c.done = c.spare[:0]
	c.doneMu.Unlock()
	for i, j := range done {
		done[i] = nil
		c.buffer(-j.charge)
		st := c.lookup(j.stream)
		if st == nil {
			c.orphans--
			continue
		}
		st.cancel = nil
		c.answer(st, j.reply)
	}
	c.spare = done
	c.returnWindow()
}

// panicked notes that a handler panicked. The path is one of ours.
func (s *Server) panicked(m *method, p any) {
	s.panics.Add(1)
	if s.config.Log != nil {
		s.config.Log.Error("a handler panicked", "method", m.path, "panic", p, "stack", string(debug.Stack()))
	}
}

// constant asks for an answer that is there for when handlers fail; nil if that
// fails too.
func (s *Server) constant(ask func() []byte) (reply []byte) {
	if ask == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			reply = nil
			s.panics.Add(1)
		}
	}()
	return ask()
}

func (s *Server) overloaded(message []byte) []byte {
	if s.config.Overloaded == nil {
		return nil
	}
	return s.constant(func() []byte { return s.config.Overloaded(message) })
}

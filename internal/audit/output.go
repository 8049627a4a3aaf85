package audit

import "io"

// output gathers lines and writes whole ones. A failed write loses its lines and is
// told to failed; the next one is tried again, because a full disk must not silence
// the log for good (as bufio.Writer would).
type output struct {
	w      io.Writer
	failed func()
	lines  []byte
	torn   bool // the last write ended within a line
}

const flushAt = 64 << 10

// Write takes one line, as slog's handler gives them.
func (o *output) Write(line []byte) (int, error) {
	o.lines = append(o.lines, line...)
	return len(line), nil
}

func (o *output) full() bool { return len(o.lines) >= flushAt }

func (o *output) flush() {
	if len(o.lines) == 0 {
		return
	}
	lines := o.lines
	if o.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	o.lines = o.lines[:0]
	n, err := o.w.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.failed()
	}
	if n > 0 {
		o.torn = n <= len(lines) && lines[n-1] != '\n'
	}
}

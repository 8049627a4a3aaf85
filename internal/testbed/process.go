package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopWait is how long a process may take to end after SIGTERM before it is killed:
// more than the sidecar's default linger and grace together.
const stopWait = 30 * time.Second

// Process is a program that was started here.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *Log
	done chan struct{} // closed when the process has ended
	err  error         // why it ended; read after done
}

// Start runs the command and collects what it prints; tee, if not nil, gets that too.
func Start(name string, cmd *exec.Cmd, tee io.Writer) (*Process, error) {
	p := &Process{name: name, cmd: cmd, log: newLog(tee), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("testbed: starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		p.log.end()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is everything that the process has printed so far.
func (p *Process) Log() *Log { return p.log }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is why the process ended: nil for exit code 0. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Signal sends a signal. A process that has ended already is not an error.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("testbed: %s: %w", p.name, err)
	}
	return nil
}

// Stop sends SIGTERM and waits for the end; a process that does not end is killed,
// which is an error.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		_ = p.Kill()
		return fmt.Errorf("testbed: %s did not end %s after SIGTERM; killed", p.name, stopWait)
	}
}

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}

// fail makes an error that shows what the process printed, and kills it.
func (p *Process) fail(what error) error {
	_ = p.Kill()
	return fmt.Errorf("testbed: %s: %w; it printed:\n%s", p.name, what, p.log.Tail(60))
}

// Log collects the output of a process. Its methods are safe for concurrent use.
type Log struct {
	tee io.Writer

	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{} // closed and replaced at each write
	ended bool
}

func newLog(tee io.Writer) *Log { return &Log{tee: tee, grown: make(chan struct{})} }

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b)
	if l.tee != nil {
		_, _ = l.tee.Write(b)
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return len(b), nil
}

func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	close(l.grown)
	l.grown = make(chan struct{})
}

// String is everything printed so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Tail is the last n lines.
func (l *Log) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(l.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Wait returns the first whole line that match accepts, waiting for it to be
// printed. It fails when ctx ends or the process does.
func (l *Log) Wait(ctx context.Context, match func(line string) bool) (string, error) {
	for seen := 0; ; {
		l.mu.Lock()
		printed, ended, grown := l.buf.String(), l.ended, l.grown
		l.mu.Unlock()
		for {
			line, _, whole := strings.Cut(printed[seen:], "\n")
			if !whole {
				break
			}
			seen += len(line) + 1
			if match(line) {
				return line, nil
			}
		}
		if ended {
			return "", errors.New("the process ended before it printed the line")
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for a line in the log: %w", context.Cause(ctx))
		}
	}
}

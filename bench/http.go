package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// get is a request of HTTP/1.1 with the headers of a browser, ready to be sent.
func get(path, token string, want int) message {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nhost: api.example.com\r\n", path)
	for _, name := range []string{"accept", "accept-encoding", "accept-language", "user-agent", "cache-control", "traceparent"} {
		fmt.Fprintf(&b, "%s: %s\r\n", name, browser[name])
	}
	if token != "" {
		fmt.Fprintf(&b, "authorization: Bearer %s\r\n", token)
	}
	b.WriteString("\r\n")
	return message{b.Bytes(), want}
}

// plain are the same checks as those of rbac, as requests for Envoy.
func plain(tokens []string, n int) []message {
	out := make([]message, n)
	for i := range out {
		out[i] = get(target(i, len(tokens)), tokens[i%len(tokens)], 200)
	}
	return out
}

// answer reads one response and returns its status. It knows of HTTP only what Envoy
// says: responses with a length.
func answer(in *bufio.Reader) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("reading: %w", err)
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, fmt.Errorf("not a response: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("not a response: %w", err)
	}
	length := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, fmt.Errorf("reading: %w", err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if value, found := bytes.CutPrefix(line, []byte("content-length: ")); found {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, fmt.Errorf("the length of a response: %w", err)
			}
		}
	}
	if length < 0 {
		if status == 204 {
			return status, nil
		}
		return 0, errors.New("a response without a length")
	}
	_, err = in.Discard(length)
	return status, err
}

// driveHTTP sends requests to an Envoy on 64 connections for the given time, or each
// once when that is 0. The processor time is that of Envoy and of the server behind it.
func driveHTTP(ctx context.Context, p *proxied, messages []message, d time.Duration) (sample, error) {
	conns := make([]net.Conn, min(envoyConn, len(messages)))
	for i := range conns {
		nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.envoy.Addr)
		if err != nil {
			return sample{}, fmt.Errorf("dialling: %w", err)
		}
		defer nc.Close()
		conns[i] = nc
	}
	spent := func() (time.Duration, error) {
		of, err := cpuTime(p.envoy.PID())
		if err == nil && p.server != 0 {
			var more time.Duration
			more, err = cpuTime(p.server)
			of += more
		}
		return of, err
	}
	before, err := spent()
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	var group sync.WaitGroup
	counts, errs, latest := make([]int, len(conns)), make([]error, len(conns)), make([][]time.Duration, len(conns))
	for i, nc := range conns {
		group.Go(func() {
			in := bufio.NewReaderSize(nc, 16<<10)
			for at := i; d == 0 && at < len(messages) || d > 0 && (at == i || time.Since(start) < d); at += len(conns) {
				m := messages[at%len(messages)]
				sent := time.Now()
				if errs[i] = nc.SetDeadline(sent.Add(30 * time.Second)); errs[i] != nil {
					return
				}
				if _, errs[i] = nc.Write(m.data); errs[i] != nil {
					return
				}
				var got int
				if got, errs[i] = answer(in); errs[i] != nil {
					return
				}
				if got != m.want {
					errs[i] = fmt.Errorf("a wrong answer: %d, want %d", got, m.want)
					return
				}
				latest[i] = append(latest[i], time.Since(sent))
				counts[i]++
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	after, err := spent()
	if err := errors.Join(append(errs, err)...); err != nil {
		return sample{}, err
	}
	return summarize(counts, latest, took, after-before)
}

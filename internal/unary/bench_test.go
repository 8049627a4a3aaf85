package unary

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
)

const benchPath = "/bench.Bench/Call"

var benchRequest, benchReply = make([]byte, 500), make([]byte, 60)

// TestMain lets the test binary be the server of a benchmark, so that its CPU is
// counted apart from the client's.
func TestMain(m *testing.M) {
	kind, address, found := strings.Cut(os.Getenv("UNARY_BENCH_SERVE"), " ")
	if !found {
		os.Exit(m.Run())
	}
	l, err := net.Listen("unix", address)
	if err != nil {
		panic(err)
	}
	fmt.Println("listening")
	if kind == "lean" {
		err = lean().Serve(l)
	} else {
		err = stock().Serve(l)
	}
	panic(err)
}

// stock serves a constant with grpc-go, as it comes but for a codec that leaves bytes
// alone, so that only the transports differ.
func stock() *grpc.Server {
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "bench.Bench", Methods: []grpc.MethodDesc{{
		MethodName: "Call",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in []byte
			if err := decode(&in); err != nil {
				return nil, err
			}
			return &benchReply, nil
		},
	}}}, nil)
	return server
}

func lean() *Server {
	server, err := New(Config{})
	if err != nil {
		panic(err)
	}
	server.Register(benchPath, func(_ []byte, _ Metadata, out []byte) ([]byte, bool) { return append(out, benchReply...), true },
		func(context.Context, []byte, Metadata) []byte { return benchReply })
	return server
}

// child starts a server in a process of its own.
func child(b *testing.B, kind string) (address string, pid int) {
	address = filepath.Join(b.TempDir(), "s")
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "UNARY_BENCH_SERVE="+kind+" "+address)
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Process.Kill(); server.Wait() })
	if _, err := out.Read(make([]byte, 100)); err != nil {
		b.Fatal(err)
	}
	return address, server.Process.Pid
}

// cpu is what a process has used so far, in the kernel's ticks of 10 ms.
func cpu(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprint("/proc/", pid, "/stat"))
	if err != nil {
		b.Skip("no accounting of other processes here")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var sum time.Duration
	for _, f := range fields[11:13] { // utime, stime
		ticks, _ := strconv.Atoi(f)
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum
}

// load is a client that costs next to nothing: frames are prebuilt, answers are
// counted by the END_STREAM of their trailers.
type load struct {
	nc      net.Conn
	request []byte
	next    uint32
	buffer  []byte
	have    int
	owed    uint32
}

func newLoad(b *testing.B, address string) *load {
	nc, err := net.Dial("unix", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	l := &load{nc: nc, next: 1, buffer: make([]byte, 64<<10)}
	out := appendFrame([]byte(preface), http2.FrameSettings, 0, 0, nil)
	nc.Write(appendFrame(out, http2.FrameSettings, flagAck, 0, nil))
	// The first call fills the table; the others are nothing but indices, as Envoy's are.
	var block blockWriter
	encoder := hpack.NewEncoder(&block)
	for range 2 {
		block = block[:0]
		fields := call(benchPath)
		for i := 0; i < len(fields); i += 2 {
			encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		l.request = appendFrame(nil, http2.FrameHeaders, flagEndHeaders, 0, block)
		l.request = appendFrame(l.request, http2.FrameData, flagEndStream, 0, message(string(benchRequest)))
		if err := l.round(1); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

type blockWriter []byte

func (w *blockWriter) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }

// round sends n calls with one write and waits for all answers.
func (l *load) round(n int) error {
	var out []byte
	if l.owed > 30000 { // window for the answers
		out = appendWord(out, http2.FrameWindowUpdate, 0, l.owed)
		l.owed = 0
	}
	data := 9 + (int(l.request[0])<<16 | int(l.request[1])<<8 | int(l.request[2]))
	for range n {
		at := len(out)
		out = append(out, l.request...)
		for _, i := range []int{at + 5, at + data + 5} {
			out[i], out[i+1], out[i+2], out[i+3] = byte(l.next>>24), byte(l.next>>16), byte(l.next>>8), byte(l.next)
		}
		l.next += 2
	}
	if _, err := l.nc.Write(out); err != nil {
		return err
	}
	for n > 0 {
		m, err := l.nc.Read(l.buffer[l.have:])
		if err != nil {
			return err
		}
		l.have += m
		b := l.buffer[:l.have]
		for len(b) >= 9 {
			size := 9 + (int(b[0])<<16 | int(b[1])<<8 | int(b[2]))
			if len(b) < size {
				break
			}
			switch http2.FrameType(b[3]) {
			case http2.FrameHeaders:
				if b[4]&flagEndStream != 0 {
					n--
				}
			case http2.FrameData:
				l.owed += uint32(size - 9)
			case http2.FrameGoAway, http2.FrameRSTStream:
				return io.ErrUnexpectedEOF
			case http2.FramePing:
				l.nc.Write(appendFrame(nil, http2.FramePing, flagAck, 0, b[9:size]))
			}
			b = b[size:]
		}
		l.have = copy(l.buffer, b)
	}
	return nil
}

// BenchmarkUnary compares the transports on calls of 500 bytes over a Unix socket, the
// client's prebuilt. CPU is that of the server's process alone.
func BenchmarkUnary(b *testing.B) {
	for _, shape := range []struct{ connections, inFlight int }{{2, 32}, {2, 4}, {1, 1}} {
		for _, kind := range []string{"lean", "grpc-go"} {
			b.Run(fmt.Sprintf("%dx%d/%s", shape.connections, shape.inFlight, kind), func(b *testing.B) {
				address, pid := child(b, kind)
				loads := make([]*load, shape.connections)
				for i := range loads {
					loads[i] = newLoad(b, address)
				}
				before := cpu(b, pid)
				b.ResetTimer()
				var group sync.WaitGroup
				for _, l := range loads {
					group.Go(func() {
						for left := b.N / len(loads); left > 0; left -= shape.inFlight {
							if err := l.round(min(left, shape.inFlight)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				group.Wait()
				b.StopTimer()
				b.ReportMetric(float64((cpu(b, pid)-before).Nanoseconds())/float64(b.N)/1000, "server-cpu-µs/op")
			})
		}
	}
}

// A call that is answered at once allocates nothing on a warm connection, on either
// side of it: the whole loop, not only the handler.
func TestInlineAllocatesNothing(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := newConn(lean(), sink{near})
	feed := func(b []byte) {
		n := copy(c.in[c.w:], b)
		if c.turn(n, false, nil) {
			t.Fatalf("the connection ended: %v", c.fail)
		}
	}
	var block blockWriter
	encoder := hpack.NewEncoder(&block)
	begin := appendFrame([]byte(preface), http2.FrameSettings, 0, 0, nil)
	feed(appendFrame(begin, http2.FrameSettings, flagAck, 0, nil))
	id := uint32(1)
	request := func() []byte {
		b := appendFrame(nil, http2.FrameHeaders, flagEndHeaders, id, block)
		b = appendFrame(b, http2.FrameData, flagEndStream, id, message(string(benchRequest)))
		id += 2
		return b
	}
	for range 3 {
		block = block[:0]
		fields := call(benchPath)
		for i := 0; i < len(fields); i += 2 {
			encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		feed(request())
	}
	const runs = 200
	ready := make([][]byte, runs+1)
	for i := range ready {
		ready[i] = request()
	}
	i := 0
	if n := testing.AllocsPerRun(runs, func() { feed(ready[i]); i++ }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

// sink takes what is written.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error) { return len(p), nil }

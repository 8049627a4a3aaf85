package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Redis is a running redis-server on loopback.
type Redis struct {
	*Process
	Addr string // host:port

	dir  string
	args []string
}

// RedisBinary says which Redis runs: the one of TESTBED_REDIS, or on PATH. The Debian
// package redis-tools alone is enough: its redis-check-rdb is the server, by another
// name, and unlike redis-server's it starts no service.
func RedisBinary() (string, error) {
	if path := os.Getenv("TESTBED_REDIS"); path != "" {
		return path, nil
	}
	for _, name := range []string{"redis-server", "redis-check-rdb"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("testbed: no Redis: run tools/get-redis, or name one in TESTBED_REDIS")
}

// StartRedis runs a server that keeps nothing on disk, with more arguments as
// redis-server takes them, and returns when it answers.
func StartRedis(ctx context.Context, args ...string) (*Redis, error) {
	var err error
	for range 5 { // another process may get the port first
		var r *Redis
		if r, err = startRedisAt(ctx, "", args); err == nil {
			return r, nil
		}
	}
	return nil, err
}

func startRedisAt(ctx context.Context, addr string, args []string) (*Redis, error) {
	binary, err := RedisBinary()
	if err != nil {
		return nil, err
	}
	if addr == "" {
		if addr, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "authz-redis-")
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	line := []string{"redis-server"}
	if len(args) > 0 && args[0] == "--sentinel" {
		// A sentinel wants a file that it can write.
		file := filepath.Join(dir, "sentinel.conf")
		if err := os.WriteFile(file, []byte(strings.Join(args[1:], "\n")+"\nport "+port+"\nbind 127.0.0.1\ndir "+dir+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("testbed: %w", err)
		}
		line = append(line, file, "--sentinel")
	} else {
		line = append(append(line, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"), args...)
	}
	p, err := Start("redis", &exec.Cmd{Path: binary, Args: line, Dir: dir}, nil)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	r := &Redis{Process: p, Addr: addr, dir: dir, args: args}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := poll(ctx, p.Done(), func() error { return r.ping(ctx) }); err != nil {
		err = p.fail(err)
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return r, nil
}

// ping takes any answer: a server that wants a password is up as well.
func (r *Redis) ping(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", r.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	_, err = bufio.NewReader(c).ReadString('\n')
	return err
}

// Stop ends the server and removes its files.
func (r *Redis) Stop() error { return errors.Join(r.Process.Stop(), os.RemoveAll(r.dir)) }

// Restart starts it again, empty, at the same address. It must have ended.
func (r *Redis) Restart(ctx context.Context) error {
	again, err := startRedisAt(ctx, r.Addr, r.args)
	if err != nil {
		return err
	}
	_ = os.RemoveAll(r.dir)
	*r = *again
	return nil
}

// Command runs redis-cli against the server and returns what it prints.
func (r *Redis) Command(ctx context.Context, args ...string) (string, error) {
	_, port, _ := net.SplitHostPort(r.Addr)
	out, err := exec.CommandContext(ctx, "redis-cli", append([]string{"-p", port}, args...)...).CombinedOutput()
	if err != nil || strings.HasPrefix(string(out), "ERR") {
		return "", fmt.Errorf("testbed: redis-cli %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// StartRedisCluster runs three masters that share the slots, each with that many
// replicas.
func StartRedisCluster(ctx context.Context, replicas int) (nodes []*Redis, err error) {
	defer func() {
		if err != nil {
			for _, r := range nodes {
				_ = r.Stop()
			}
		}
	}()
	var addresses []string
	for range 3 * (1 + replicas) {
		bus, err := freeAddress()
		if err != nil {
			return nodes, err
		}
		_, port, _ := net.SplitHostPort(bus)
		r, err := StartRedis(ctx, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf")
		if err != nil {
			return nodes, err
		}
		nodes, addresses = append(nodes, r), append(addresses, r.Addr)
	}
	args := append([]string{"--cluster", "create"}, addresses...)
	args = append(args, "--cluster-replicas", fmt.Sprint(replicas), "--cluster-yes")
	if out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput(); err != nil {
		return nodes, fmt.Errorf("testbed: creating a cluster: %w: %s", err, out)
	}
	for _, r := range nodes {
		err := poll(ctx, r.Done(), func() error {
			state, err := r.Command(ctx, "cluster", "info")
			if err == nil && !strings.Contains(state, "cluster_state:ok") {
				err = errors.New(state)
			}
			return err
		})
		if err != nil {
			return nodes, fmt.Errorf("testbed: waiting for the cluster: %w", err)
		}
	}
	return nodes, nil
}

// RedisSet is a master with a replica, and three sentinels that watch them.
type RedisSet struct {
	Name            string // of the master, to the sentinels
	Master, Replica *Redis
	Sentinels       []*Redis
}

// StartRedisSentinel runs a RedisSet and returns when every sentinel knows the replica.
func StartRedisSentinel(ctx context.Context) (*RedisSet, error) {
	s := &RedisSet{Name: "quotas"}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *RedisSet) start(ctx context.Context) (err error) {
	if s.Master, err = StartRedis(ctx); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	if s.Replica, err = StartRedis(ctx, "--replicaof", host, port, "--repl-diskless-sync-delay", "0"); err != nil {
		return err
	}
	for range 3 {
		w, err := StartRedis(ctx, "--sentinel", "sentinel monitor quotas "+host+" "+port+" 2",
			"sentinel down-after-milliseconds quotas 500", "sentinel failover-timeout quotas 3000")
		if err != nil {
			return err
		}
		s.Sentinels = append(s.Sentinels, w)
	}
	for _, w := range s.Sentinels {
		err := poll(ctx, w.Done(), func() error {
			info, err := w.Command(ctx, "info", "sentinel")
			if err == nil && !strings.Contains(info, "status=ok") || !strings.Contains(info, "slaves=1,sentinels=3") {
				err = errors.Join(err, errors.New(info))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("testbed: waiting for the sentinels: %w", err)
		}
	}
	return poll(ctx, s.Replica.Done(), func() error {
		info, err := s.Replica.Command(ctx, "info", "replication")
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New(info)
		}
		return err
	})
}

// Addresses are the sentinels'.
func (s *RedisSet) Addresses() []string {
	var list []string
	for _, w := range s.Sentinels {
		list = append(list, w.Addr)
	}
	return list
}

// Stop ends all of them.
func (s *RedisSet) Stop() error {
	var errs []error
	for _, r := range append(s.Sentinels, s.Replica, s.Master) {
		if r != nil {
			errs = append(errs, r.Stop())
		}
	}
	return errors.Join(errs...)
}

func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("testbed: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

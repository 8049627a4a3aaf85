package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"authz/internal/ratelimit"
	"authz/internal/testbed"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"authz": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// Whole sessions at the command line, one a file.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"redis": startRedis, "charge": charge},
		Condition: func(name string) (bool, error) {
			_, err := testbed.RedisBinary()
			return name == "redis" && err == nil, nil
		},
	})
}

// startRedis runs a Redis for this script; $REDIS is its address.
func startRedis(ts *testscript.TestScript, _ bool, _ []string) {
	server, err := testbed.StartRedis(context.Background())
	ts.Check(err)
	ts.Defer(func() { _ = server.Stop() })
	ts.Setenv("REDIS", server.Addr)
}

// charge N NAME ELEMENT… lets N requests count against a quota of five in 15 minutes, as
// a sidecar would. "!" wants the last one to be refused.
func charge(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	store, err := ratelimit.NewRedis(ratelimit.RedisConfig{Addresses: []string{ts.Getenv("REDIS")}})
	ts.Check(err)
	defer store.Close()
	shared := ratelimit.NewShared(store, ratelimit.SharedConfig{Budget: 20 * time.Second, Fallback: ratelimit.FallbackDeny})
	defer shared.Close()
	for i := range n {
		v, err := shared.Take(context.Background(), time.Now(), []ratelimit.Ask{{Limit: ratelimit.Limit{
			Name: args[1], Key: args[2:], Limit: 5, Burst: 5, Cost: 1, Window: 15 * time.Minute}}})
		ts.Check(err)
		if want := !neg || i < n-1; v.Allowed != want {
			ts.Fatalf("request %d of %v: passed is %v", i+1, args, v.Allowed)
		}
	}
}

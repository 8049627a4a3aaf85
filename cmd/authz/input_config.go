package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"authz/internal/policy"

	"github.com/spf13/cobra"
)

// patience is how long one evaluation may take in a command that explains: an
// answer must not depend on how busy the machine is.
const patience = 10 * time.Second

// offlineFlags adds the flags of the configuration, and returns the function that
// reads what a command needs that judges requests without serving any: where to
// listen need not be said. --help shows only the flags that matter to it.
func offlineFlags(cmd *cobra.Command) func() (*Config, faults) {
	given := givenFlags(cmd)
	for _, f := range leaves(reflect.ValueOf(new(Config)).Elem(), "") {
		section, _, _ := strings.Cut(f.key, ".")
		if section != "policy" && section != "request" && f.key != "token.cookie" && f.key != "insecure.lenient_requests" {
			_ = cmd.Flags().MarkHidden(f.key)
		}
	}
	return func() (*Config, faults) {
		path, flags := given()
		c, found := gatherConfig(path, os.Environ(), flags)
		found = slices.DeleteFunc(found, func(f fault) bool { return f.Key == "listen" })
		c.Policy.Timeout = max(c.Policy.Timeout, Duration(patience))
		return c, found
	}
}

// loadEngine loads the policies as `authz run` would.
func loadEngine(ctx context.Context, c *Config) (*policy.Engine, error) {
	engine, err := newEngine(c, slog.New(slog.DiscardHandler))
	if err == nil {
		err = engine.Load(ctx)
	}
	if err != nil {
		return nil, &exitError{code: exitCompile, err: err}
	}
	return engine, nil
}

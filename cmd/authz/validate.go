package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"authz/internal/policy"

	"github.com/spf13/cobra"
)

// verdict is what `authz validate` found, as JSON.
type verdict struct {
	Valid    bool     `json:"valid"`
	Faults   faults   `json:"faults,omitempty"`
	Policy   string   `json:"policy_error,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Revision string   `json:"policy_revision,omitempty"`
	Routes   int      `json:"routes"`
	Issuers  []string `json:"issuers,omitempty"`
	// Cached says of each route whether its decisions will be given again; absent where
	// none is remembered.
	Cached []policy.RouteCaching `json:"cached_routes,omitempty"`
}

func validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check configuration and policies without starting",
		Long: `Check configuration and policies without starting: nothing listens, nothing is
fetched. Every fault is told at once, with its key and the way out.

Exit codes: 0 valid, 1 could not run, 2 the configuration has faults,
3 the policies do not compile.`,
		Example: "  authz validate --config authz.yaml\n  authz validate --config authz.yaml -o json",
		Args:    cobra.NoArgs,
	}
	config := configFlags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := output()
		if err != nil {
			return err
		}
		v, code := validate(cmd, config)
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), v)
		} else {
			v.print(cmd)
		}
		if err == nil && code != exitFine {
			err = &exitError{code: code}
		}
		return err
	}
	return cmd
}

func validate(cmd *cobra.Command, config func() (*Config, error)) (verdict, int) {
	c, err := config()
	if err != nil {
		var found faults
		if !errors.As(err, &found) {
			found = faults{{Message: err.Error()}}
		}
		return verdict{Faults: found}, exitFindings
	}
	v := verdict{Valid: true, Warnings: c.warnings()}
	for _, issuer := range c.Issuers {
		v.Issuers = append(v.Issuers, issuer.Name)
	}
	quiet := slog.New(slog.DiscardHandler)
	if _, err := newVerifier(c, quiet); err != nil {
		v.Valid = false
		v.Faults = asFaults("issuers", err)
		return v, exitFindings
	}
	engine, err := newEngine(c, quiet)
	if err == nil {
		err = engine.Load(cmd.Context())
	}
	if errors.Is(err, policy.ErrNotFetched) {
		v.Warnings = append(v.Warnings, "policy.bundles: nothing is fetched here, so the policies were not judged")
		return v, exitFine
	}
	if err != nil {
		v.Valid, v.Policy = false, err.Error()
		return v, exitCompile
	}
	status := engine.Status()
	v.Warnings = append(v.Warnings, status.Warnings...)
	v.Revision, v.Routes = status.Revision, status.Routes
	if v.Cached, err = engine.CachedRoutes(cmd.Context()); err != nil {
		v.Warnings = append(v.Warnings, "what is remembered: "+err.Error())
	}
	return v, exitFine
}

// cached says how many routes' decisions will be given again, and why not the others'.
func (v verdict) cached() string {
	var others []string
	for _, r := range v.Cached {
		if r.Why != "" {
			others = append(others, fmt.Sprintf("\n  %s %s", r.Route, r.Why))
		}
	}
	return fmt.Sprintf("routes cached: %d of %d%s", len(v.Cached)-len(others), len(v.Cached), strings.Join(others, ""))
}

func (v verdict) print(cmd *cobra.Command) {
	out := cmd.OutOrStdout()
	for _, w := range v.Warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	switch {
	case v.Faults != nil:
		fmt.Fprintln(out, v.Faults.Error())
	case v.Policy != "":
		fmt.Fprintln(out, "the policies do not load:\n"+v.Policy)
	case v.Revision == "":
		fmt.Fprintf(out, "valid: %d issuer(s)\n", len(v.Issuers))
	default:
		fmt.Fprintf(out, "valid: %d issuer(s), policy revision %s, %d route(s)\n", len(v.Issuers), v.Revision, v.Routes)
		if v.Cached != nil {
			fmt.Fprintln(out, v.cached())
		}
	}
}

// asFaults makes a fault of each error that was joined.
func asFaults(key string, err error) faults {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all faults
		for _, one := range joined.Unwrap() {
			all = append(all, asFaults(key, one)...)
		}
		return all
	}
	return faults{{Key: key, Message: err.Error()}}
}

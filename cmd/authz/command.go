package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes, the same for every command.
const (
	exitFine     = 0
	exitCannot   = 1 // could not run
	exitFindings = 2 // ran, and found something
	exitCompile  = 3 // a policy does not compile
)

// configVariable names the configuration file where --config does not.
const configVariable = "AUTHZ_CONFIG"

// exitError carries an exit code up to run. A nil err has been reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// run carries out one command line and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return exitFine
	}
	code := exitCannot
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
		if exit.err == nil {
			return code
		}
	}
	fmt.Fprintln(stderr, "authz: "+err.Error())
	return code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "authz",
		Short: "Security for the API behind Envoy, decided by Rego policies",
		Long: `authz answers Envoy's external-authorization checks, so that the application
behind Envoy needs no security code: it verifies the token, asks your Rego
policies, enforces the quotas and tells Envoy what to do.

Start with:
  authz new shop                      a policy project that passes its own tests
  authz config example > authz.yaml   a configuration to edit
  authz validate --config authz.yaml  is it right, do the policies compile?
  authz run --config authz.yaml       answer Envoy

Exit codes: 0 fine, 1 could not run, 2 findings or failed checks,
3 a policy does not compile.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(), validateCommand(), lintEnvoyCommand(), newCommand(), matrixCommand(), importCommand(), inputCommand(), whyCommand(), quotaCommand(), configCommand(), envoyConfigCommand(), envoyDrainCommand(), injectCommand(), redirectCommand(), webhookCommand(), versionCommand())
	return root
}

// configFlags adds --config and a flag for every scalar of the configuration, and
// returns the function that reads the configuration as they say.
func configFlags(cmd *cobra.Command) func() (*Config, error) {
	given := givenFlags(cmd)
	return func() (*Config, error) {
		path, flags := given()
		return readConfig(path, os.Environ(), flags)
	}
}

// givenFlags adds the flags of configFlags and returns the function that says which
// file is meant and which flags were given.
func givenFlags(cmd *cobra.Command) func() (path string, given map[string]string) {
	flags := cmd.Flags()
	flags.StringP("config", "c", "", "configuration file (YAML; also "+configVariable+")")
	keys := map[string]bool{}
	for _, f := range leaves(reflect.ValueOf(new(Config)).Elem(), "") {
		keys[f.key] = true
		usage := f.doc
		if f.def != "" {
			usage += " (default " + f.def + ")"
		}
		flags.String(f.key, "", usage)
		if f.value.Kind() == reflect.Bool {
			flags.Lookup(f.key).NoOptDefVal = "true"
		}
	}
	return func() (string, map[string]string) {
		path, _ := flags.GetString("config")
		if path == "" {
			path = os.Getenv(configVariable)
		}
		given := map[string]string{}
		flags.Visit(func(f *pflag.Flag) {
			if keys[f.Name] {
				given[f.Name] = f.Value.String()
			}
		})
		return path, given
	}
}

// outputFlag adds -o table|json.
func outputFlag(cmd *cobra.Command) func() (asJSON bool, err error) {
	cmd.Flags().StringP("output", "o", "table", "table, for people, or json, for machines")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return func() (bool, error) {
		switch format, _ := cmd.Flags().GetString("output"); format {
		case "table":
			return false, nil
		case "json":
			return true, nil
		default:
			return false, fmt.Errorf("--output %q: write table or json", format)
		}
	}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

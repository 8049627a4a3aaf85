package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"authz/internal/project"

	"github.com/spf13/cobra"
)

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new DIR",
		Short: "Begin a project: an API as data, a rule of your own, its tests",
		Long: `Write a small project into DIR: an API as data (routes, roles, quotas), one rule of
your own with its tests, a Makefile, a CI file and the sidecar's configuration. Copies
of the policy library and of the test kit come with it, so that a stock opa tests all
of it. It passes its tests at once; then change it into yours.

DIR is made if need be, and must be empty but for .git. With --force the project is
written beside what is there; a file that exists is never overwritten.

After an upgrade of authz, --refresh replaces the copies (library/, testkit/,
schemas/) in a project and touches nothing else.`,
		Example: "  authz new shop && cd shop && make test\n  authz new --refresh .",
		Args:    cobra.ExactArgs(1),
	}
	force := cmd.Flags().Bool("force", false, "write beside what is in DIR; nothing is overwritten")
	refresh := cmd.Flags().Bool("refresh", false, "replace only library/, testkit/ and schemas/ in a project")
	cmd.MarkFlagsMutuallyExclusive("force", "refresh")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir := args[0]
		if *refresh {
			files, err := project.Refresh(dir)
			if err != nil {
				return fmt.Errorf("%s: %w", dir, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files in %s are as this authz has them\n", dir, len(files), strings.Join(project.Copies, ", "))
			return nil
		}
		whole, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		opa := strings.TrimPrefix(thisBuild().OPA, "v")
		if opa == "" {
			opa = "latest"
		}
		files, err := project.Create(dir, project.Settings{Name: filepath.Base(whole), OPA: opa}, *force)
		switch {
		case errors.Is(err, project.ErrNotEmpty):
			return fmt.Errorf("%s: %w: name a new one, or add --force to write beside what is there", dir, err)
		case err != nil:
			return fmt.Errorf("%s: %w", dir, err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), `%s: %d files written. Next:

  cd %s
  make test                               its own tests, with a stock opa
  authz validate --config authz.yaml      as the sidecar reads it
  authz matrix --config authz.yaml        who may do what

Then make it yours: routes and roles in policies/data.yaml, rules in policies/app/,
issuer and audience in authz.yaml. README.md says how.
`, dir, len(files), quoted(dir))
		return nil
	}
	return cmd
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t\n'\"\\$`&;|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

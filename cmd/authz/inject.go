package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"authz/internal/inject"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

// envoyImage is the Envoy that the sidecar is tested with.
const envoyImage = "docker.io/envoyproxy/envoy:distroless-v1.40.0"

func injectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inject [FILE ...]",
		Short: "Put the sidecars into Kubernetes manifests",
		Long: `Put the sidecars into Kubernetes manifests: authz, and Envoy before the app. Reads
the files, or standard input, and writes all documents to standard output; what is
worth knowing goes to standard error.

Every Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob and Pod gets them,
in Lists too. Other documents pass as they are. Injecting again changes nothing, and a
newer authz replaces the sidecars in place. A pod that can't be protected (hostNetwork,
Windows, no known port) is refused with the way out, and then nothing is written. The
pod label authz.dev/inject: "false" leaves a workload alone.

Envoy takes over the app's port at the pod's address, so Services and named ports stay
as they are. The app must listen on 127.0.0.1 with the same port. Its probes go
on asking the app.

A pod template says what it needs with annotations, such as authz.dev/app-port: "8080"
or authz.dev/policies: shop-policies; --set gives one to those that don't say it.
authz inject --settings lists them. In the namespace there must be the ConfigMaps
authz-policies, with Rego and data, and authz-config, with authz.yaml.

Exit codes: 0 done, 1 could not run or refused, 2 --diff found differences.`,
		Example: `  kubectl create deployment web --image=web --port=8080 --dry-run=client -o yaml | authz inject - | kubectl apply -f -
  authz inject k8s/*.yaml --diff
  authz inject --set app-port=3000 --set policies=shop web.yaml > injected.yaml
  authz inject --remove injected.yaml`,
	}
	o := injectFlags(cmd)
	flags := cmd.Flags()
	showDiff := flags.Bool("diff", false, "write what would change instead, as a unified diff")
	remove := flags.Bool("remove", false, "take the sidecars out again")
	settings := flags.Bool("settings", false, "list the annotations and their defaults")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *settings {
			for _, s := range inject.Settings {
				fmt.Fprintf(cmd.OutOrStdout(), "%s%s (default %q)\n    %s\n", inject.Prefix, s.Name, s.Default, s.Doc)
			}
			return nil
		}
		options, err := o()
		if err != nil {
			return err
		}
		name, before, err := readManifests(args, cmd.InOrStdin())
		if err != nil {
			return err
		}
		var after []byte
		var notes []string
		if *remove {
			after, err = inject.RemoveFrom(before)
		} else {
			after, notes, err = inject.Manifests(before, options)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, note := range notes {
			fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
		}
		if !*showDiff {
			_, err = cmd.OutOrStdout().Write(after)
			return err
		}
		if bytes.Equal(before, after) {
			return nil
		}
		if _, err := cmd.OutOrStdout().Write(diff.Diff(name, before, name+" (injected)", after)); err != nil {
			return err
		}
		return &exitError{code: exitFindings}
	}
	return cmd
}

// injectFlags adds what the platform decides; the webhook has the same.
func injectFlags(cmd *cobra.Command) func() (inject.Options, error) {
	flags := cmd.Flags()
	o := inject.Options{Version: version}
	flags.StringVar(&o.Image, "image", "authz:"+version, "image of authz")
	flags.StringVar(&o.EnvoyImage, "envoy-image", envoyImage, "image of Envoy")
	flags.StringVar(&o.PullPolicy, "pull-policy", "IfNotPresent", "imagePullPolicy of both")
	config := flags.String("sidecar-config", "", "configuration of authz (YAML) for pods that name no ConfigMap with one")
	set := flags.StringArray("set", nil, "NAME=VALUE: the value of annotation authz.dev/NAME for pods that don't carry it")
	return func() (inject.Options, error) {
		var err error
		if o.Config, err = sidecarConfig(*config); err != nil {
			return o, fmt.Errorf("--sidecar-config: %w", err)
		}
		o.Defaults = map[string]string{}
		for _, s := range *set {
			name, value, ok := strings.Cut(s, "=")
			if !ok {
				return o, fmt.Errorf("--set %q: write NAME=VALUE, such as app-port=8080", s)
			}
			o.Defaults[strings.TrimPrefix(name, inject.Prefix)] = value
		}
		switch o.PullPolicy {
		case "Always", "IfNotPresent", "Never":
			return o, nil
		}
		return o, fmt.Errorf("--pull-policy %q: write Always, IfNotPresent or Never", o.PullPolicy)
	}
}

// maxSidecarConfig bounds what is put into an annotation; all of a pod's together
// may have 256 KiB.
const maxSidecarConfig = 64 << 10

// sidecarConfig reads a configuration for pods, and checks it as the sidecar will
// see it.
func sidecarConfig(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if len(text) > maxSidecarConfig {
		return "", fmt.Errorf("%s has %d bytes; a pod's annotation shall have %d at most: name a ConfigMap with --set config=NAME", file, len(text), maxSidecarConfig)
	}
	// In the pod there will be a socket and policies; here any directory will do.
	_, err = readConfig(file, nil, map[string]string{"listen.socket": "/run/authz/authz.sock", "policy.paths": "/"})
	return string(text), err
}

// readManifests reads the files one after the other, each as documents of its own.
func readManifests(args []string, stdin io.Reader) (name string, text []byte, err error) {
	if len(args) == 0 {
		args = []string{"-"}
		if f, ok := stdin.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				return "", nil, fmt.Errorf("name a file, or pipe manifests in: kubectl get deploy web -o yaml | authz inject -")
			}
		}
	}
	for i, arg := range args {
		one, err := readFileOr(arg, stdin)
		if err != nil {
			return "", nil, err
		}
		if i > 0 {
			if len(text) > 0 && text[len(text)-1] != '\n' {
				text = append(text, '\n')
			}
			if !bytes.HasPrefix(bytes.TrimLeft(one, "\n"), []byte("---")) {
				text = append(text, "---\n"...)
			}
		}
		text = append(text, one...)
	}
	if name = strings.Join(args, ", "); name == "-" {
		name = "standard input"
	}
	return name, text, nil
}

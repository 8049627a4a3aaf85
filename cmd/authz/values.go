package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Duration is a Go duration in text: 250ms, 5s, 1h.
type Duration time.Duration

// UnmarshalText reads a duration; it must not be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write 250ms, 5s or 1h", text)
	}
	if v < 0 {
		return fmt.Errorf("%s is negative", v)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes in text: 512, 8KiB, 64MiB, 1GiB.
type Size int64

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = n, factor
			break
		}
	}
	v, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || v < 0 || v > (1<<40)/unit {
		return fmt.Errorf("%q is not a size: write 512, 8KiB, 64MiB or 1GiB", text)
	}
	*s = Size(v * unit)
	return nil
}

// Mode is a file mode in octal text: 0660.
type Mode os.FileMode

// UnmarshalText reads a mode of permission bits only.
func (m *Mode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf("%q is not a file mode: write it in octal, such as 0660", text)
	}
	*m = Mode(v)
	return nil
}

// Secret refers to a secret that is kept elsewhere: env:NAME or file:PATH. The
// configuration never holds the secret itself, so it can't be printed with it.
type Secret struct{ source, name string }

// UnmarshalText reads the reference. What was written is not repeated in the
// error, since it may be the secret itself.
func (s *Secret) UnmarshalText(text []byte) error {
	source, name, found := strings.Cut(string(text), ":")
	if !found || name == "" || (source != "env" && source != "file") {
		return fmt.Errorf("secrets are never written into the configuration: give env:NAME or file:/path instead")
	}
	*s = Secret{source, name}
	return nil
}

// IsZero says that no secret is configured.
func (s Secret) IsZero() bool { return s.source == "" }

// String is the reference, not the secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return s.source + ":" + s.name
}

// Read fetches the secret. One trailing line break is not part of it.
func (s Secret) Read(getenv func(string) string) ([]byte, error) {
	if s.source == "env" {
		if v := getenv(s.name); v != "" {
			return []byte(v), nil
		}
		return nil, fmt.Errorf("the environment variable %s is not set", s.name)
	}
	b, err := os.ReadFile(s.name)
	if err != nil {
		return nil, err
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}

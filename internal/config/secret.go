package config

import "log/slog"

const redacted = "[redacted]"

// Secret is a value that must not reach a log, an error or a dump. However it is
// printed, it shows as "[redacted]".
type Secret struct{ value string }

// NewSecret returns a secret that holds value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the value, for the one place that sends it.
func (s Secret) Reveal() string { return s.value }

// String is "[redacted]".
func (s Secret) String() string { return redacted }

// GoString is "[redacted]", for %#v.
func (s Secret) GoString() string { return redacted }

// MarshalText is "[redacted]", for JSON and TOML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is "[redacted]", for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

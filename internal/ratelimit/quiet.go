package ratelimit

import "github.com/redis/go-redis/v9/logging"

// The client library writes lines of its own to standard error, each time it dials in
// vain. What they say is in the errors of the calls as well, and an operating log in
// JSON has no place for them.
func init() { logging.Disable() }

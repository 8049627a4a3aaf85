# One quota for each path: what ten sidecars count together.
package fleet

decision := {"allowed": true, "quotas": [{"name": "api", "key": [input.parsed_path[0]], "limit": 200, "window": "2s"}]}
